"""Fingerprints of errors: equal failures of a job share one, whatever ids and numbers their messages contain."""

from __future__ import annotations

import hashlib
import re

_VARIABLE_PARTS = re.compile(
    r"0x[0-9a-fA-F]+"
    r"|[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
    r"|\d+(?:[.,:\-/]\d+)*"
    r"|'[^']{0,200}'|\"[^\"]{0,200}\""
)
FINGERPRINT_LENGTH = 32


def normalize_message(message: str) -> str:
    """Return the first line of ``message`` with numbers, ids and quoted values replaced by ``#``."""
    first_line = message.strip().partition("\n")[0][:500]
    return _VARIABLE_PARTS.sub("#", first_line)


def fingerprint(*, job_name: str, error_class: str, message: str, frame: str = "") -> str:
    """Return 32 hexadecimal digits; ``frame`` is ``file:function`` of the project's own innermost frame."""
    key = "\0".join((job_name, error_class, frame, normalize_message(message)))
    return hashlib.blake2b(key.encode("utf-8", "replace"), digest_size=FINGERPRINT_LENGTH // 2).hexdigest()
