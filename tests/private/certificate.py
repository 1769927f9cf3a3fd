"""A certificate for localhost that nobody has signed but itself, made by openssl."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple

from tests.required import is_missing

from .base import find_program


class Certificate(NamedTuple):
    """The files of a certificate and its key; both may be read by every user, as the server is one of its own."""

    file: Path
    key: Path


def make_certificate(folder: Path) -> Certificate:
    """Return a new certificate in this folder, valid for a day."""
    program = find_program("openssl")
    if program is None:
        is_missing("openssl (Debian: openssl)")
    made = Certificate(folder / "server.pem", folder / "server.key")
    subprocess.run(
        [
            *(program, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "1", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
            *("-out", str(made.file), "-keyout", str(made.key)),
        ],
        check=True,
        capture_output=True,
    )
    for path in made:
        path.chmod(0o644)
    return made
