"""Find the innermost frame of the project's own code in the text of a traceback."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

_FRAME = re.compile(r'^ {2}File "(?P<file>[^"\n]+)", line (?P<line>\d+), in (?P<function>[^\n]+)', re.MULTILINE)
_PACKAGE_DIRECTORIES = ("/site-packages/", "/dist-packages/", "\\site-packages\\")


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One frame of a traceback; ``code`` is the source line, empty if the text has none."""

    file: str
    line: int
    function: str
    code: str


def project_frame(traceback: str, *, is_project: Callable[[str], bool]) -> Frame | None:
    """Return the innermost frame of the project's own code, or None.

    ``is_project`` decides by the paths of this host; a file in a package directory of another host is never
    the project's.
    """
    found = None
    for match in _FRAME.finditer(traceback):
        file = match["file"]
        if is_project(file) and not any(part in file for part in _PACKAGE_DIRECTORIES):
            found = match
    if found is None:
        return None
    return Frame(
        file=found["file"],
        line=int(found["line"]),
        function=found["function"],
        code=_code_after(traceback, found.end()),
    )


def _code_after(traceback: str, end: int) -> str:
    line = traceback[end:].lstrip("\n").partition("\n")[0]
    return line.strip() if line.startswith("    ") else ""
