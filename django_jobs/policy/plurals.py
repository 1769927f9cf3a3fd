"""Write a number with its noun, in texts that are not translated: commands, logs and mails."""

from __future__ import annotations


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return "1 job" or "2 jobs"; ``plural`` if an s at the end does not make one."""
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"
