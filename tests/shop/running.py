"""The shop's programs as real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping

from tests.databases import ROOT

DEADLINE_SECONDS = 100


def environment(**more: str) -> dict[str, str]:
    """Return this process's environment without what concerns the tests' own Django."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("DJANGO_")}
    return {**ours, "PYTHONUNBUFFERED": "1", **more}


def start(*arguments: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Start Python with ``arguments`` in the repository's root; its words go to one pipe."""
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=env or environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(*arguments: str, env: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Run Python with ``arguments`` to its end and return the exit code and what it said."""
    with start(*arguments, env=env) as process:
        try:
            output, _ = process.communicate(timeout=DEADLINE_SECONDS)
        except subprocess.TimeoutExpired:
            process.terminate()
            output, _ = process.communicate()
            raise AssertionError(f"not at an end after {DEADLINE_SECONDS} s:\n{output}") from None
    return process.returncode, output
