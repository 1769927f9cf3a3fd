"""What both versions of a sample project share: work without any library, and a list of what was done."""

from __future__ import annotations

done: list[tuple[str, object]] = []


def note(what: str, value: object) -> None:
    """Record that something was done."""
    done.append((what, value))
