"""Show text that a job, or a caller, has chosen: in a log or a terminal it must not act, nor look like another line."""

from __future__ import annotations

import re

# C0 and C1 controls (ESC and the 8-bit CSI among them), line and paragraph separators, marks that reverse the order
# of what follows, and halves of surrogate pairs, which no terminal can encode.
_UNPRINTABLE = "\x00-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff"
_ANYWHERE = re.compile(f"[{_UNPRINTABLE}]")
_WITHIN_LINES = re.compile(rf"(?![\n\t])[{_UNPRINTABLE}]")

# Marks without a width. Scripts and emojis need them beside their letters; among ASCII they only hide a difference.
_UNSEEN = "\u00ad\u061c\u180e\u200b-\u200f\u2060-\u2064\u206a-\u206f\ufeff"
_BESIDE = rf"[^\x00-\x7f{_UNSEEN}]"
_IN_A_PAGE = re.compile(
    # The characters first: a search passes over all others quickly.
    rf"[{_UNPRINTABLE}{_UNSEEN}](?<![\n\t]|\r(?=\n))(?:(?<![{_UNSEEN}])|(?<!{_BESIDE}.)(?!{_BESIDE}))",
    re.DOTALL,
)
_DELETE = 0x7F
_LINE_SYMBOLS = {ord(one): chr(0x2400 + ord(one)) for one in "\t\n\r"}


def escape_unstorable(text: str) -> str:
    """Return ``text`` with NUL and lone surrogates, which PostgreSQL refuses, as escapes; always a plain str."""
    return str.replace(text, "\0", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")


def printable(text: str) -> str:
    r"""Return ``text`` on one line, with control characters as escapes such as ``\n`` and ``\x1b``."""
    return _ANYWHERE.sub(_escape, text)


def printable_lines(text: str) -> str:
    """Return ``text`` with its lines and tabs kept and all other control characters as escapes."""
    return _WITHIN_LINES.sub(_escape, text)


def printable_json(text: str) -> str:
    r"""Return JSON ``text`` with what a terminal acts on as escapes such as ``\u009b``, where JSON has none."""
    return _WITHIN_LINES.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def visible(text: str) -> str:
    r"""Return ``text`` for a page: lines and tabs kept, ESC and others of ASCII as symbols, the rest as ``\u202e``."""
    return _IN_A_PAGE.sub(_symbol, text)


def visible_line(text: str) -> str:
    """Return ``text`` on one line, with line breaks and tabs as symbols, too."""
    return visible(text).translate(_LINE_SYMBOLS)


def _symbol(found: re.Match[str]) -> str:
    code = ord(found.group())
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == _DELETE else _escape(found)


def _escape(found: re.Match[str]) -> str:
    return found.group().encode("unicode_escape").decode("ascii")
