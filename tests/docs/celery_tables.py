"""Tables of docs/how-to/celery.md that are made from the code: options without effect, and those that are refused."""

from __future__ import annotations

from collections.abc import Mapping

from django_jobs.contrib.celery.options import UNSUPPORTED, WITHOUT_EFFECT


def without_effect() -> str:
    """Return the options of a task that change nothing, each with the reason."""
    return _table("option", "why", WITHOUT_EFFECT)


def unsupported_calls() -> str:
    """Return the options of a call that are refused, each with the way here."""
    return _table("option", "the way here", UNSUPPORTED)


def _table(first: str, second: str, rows: Mapping[str, str]) -> str:
    by_text: dict[str, list[str]] = {}
    for name, text in rows.items():
        by_text.setdefault(text, []).append(f"`{name}`")
    lines = [f"| {', '.join(names)} | {text} |" for text, names in by_text.items()]
    return "\n".join([f"| {first} | {second} |", "|---|---|", *lines])
