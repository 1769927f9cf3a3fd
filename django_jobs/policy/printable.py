"""Show text that a job, or a caller, has chosen: in a log or a terminal it must not act, nor look like another line."""

from __future__ import annotations

import re

# C0 and C1 controls (ESC and the 8-bit CSI among them), line and paragraph separators, marks that reverse the order
# of what follows, and halves of surrogate pairs, which no terminal can encode.
_UNPRINTABLE = "\x00-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff"
_ANYWHERE = re.compile(f"[{_UNPRINTABLE}]")
_WITHIN_LINES = re.compile(rf"(?![\n\t])[{_UNPRINTABLE}]")


def printable(text: str) -> str:
    r"""Return ``text`` on one line, with control characters as escapes such as ``\n`` and ``\x1b``."""
    return _ANYWHERE.sub(_escape, text)


def printable_lines(text: str) -> str:
    """Return ``text`` with its lines and tabs kept and all other control characters as escapes."""
    return _WITHIN_LINES.sub(_escape, text)


def printable_json(text: str) -> str:
    r"""Return JSON ``text`` with what a terminal acts on as escapes such as ``\u009b``, where JSON has none."""
    return _WITHIN_LINES.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def _escape(found: re.Match[str]) -> str:
    return found.group().encode("unicode_escape").decode("ascii")
