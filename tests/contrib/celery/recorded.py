"""``recorded.txt``, read: what real Celery did with the calls of the sample project."""

from __future__ import annotations

from pathlib import Path

RECORDED = Path(__file__).with_name("recorded.txt")


def recorded() -> dict[str, list[str]]:
    """Return the lines of each call by its label: the diary of its handlers, then state and result."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in RECORDED.read_text().splitlines()[1:]:
        if line.startswith("# "):
            lines = found.setdefault(line.removeprefix("# "), [])
        else:
            lines.append(line)
    return found
