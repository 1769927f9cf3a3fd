"""Hints in errors about names that are not known: the nearest one, or what the word of another library is here."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from functools import wraps
from typing import Any, TypeVar

from .foreign_options import ADVICE, EQUIVALENTS, NOTES

T = TypeVar("T")
MIN_LIKENESS = 0.7
USING_OPTIONS = (
    "run_after", "queue_name", "priority", "max_attempts", "metadata", "idempotency_key", "idempotency_window",
    "expires_at",
    "database",
)  # fmt: skip
"""The keys of ``options.UsingOptions``, which stands above."""


def find_near(name: str, known: Iterable[str]) -> str | None:
    """Return the one of ``known`` that ``name`` was most probably meant to be, or None."""
    spelled = {one.lower(): one for one in known}
    near = get_close_matches(str(name).lower(), spelled, n=1, cutoff=MIN_LIKENESS)
    return spelled[near[0]] if near else None


def unknown_options(
    label: str,
    unknown: Iterable[str],
    known: Collection[str],
    *,
    elsewhere: Mapping[str, Collection[str]],
) -> str:
    """Return the error about options that ``label`` does not take.

    ``elsewhere``: the options of other calls, by what the text calls these calls.
    """
    named = []
    for name in unknown:
        hint = option_hint(name, known, elsewhere=elsewhere)
        named.append(f"{name} ({hint})" if hint else str(name))
    return f"{label}: unknown option {', '.join(named)}; known are {', '.join(known)}"


def option_hint(name: str, known: Collection[str], *, elsewhere: Mapping[str, Collection[str]]) -> str:
    """Return what to write in place of an unknown option; an empty text if nobody can tell."""
    words = (name, *EQUIVALENTS.get(name, ()))
    note = f" {NOTES[name]}" if name in NOTES else ""
    for word in words:
        if word in known:
            return f"did you mean {word}?{note}"
    if name in ADVICE:
        return ADVICE[name]
    for word in words:
        for place, names in elsewhere.items():
            if word in names:
                return f"{word} is an option of {place}"
    near = find_near(name, known)
    if near is not None:
        return f"did you mean {near}?"
    for place, names in elsewhere.items():
        if (near := find_near(name, names)) is not None:
            return f"did you mean {near}, an option of {place}?"
    return ""


def misplaced_options_hint(keywords: Collection[str]) -> str:
    """Return what to do with keywords that no argument of a job has, if they are options of an enqueue."""
    options = [word for name in keywords for word in (name, *EQUIVALENTS.get(name, ())) if word in USING_OPTIONS]
    return f"; options of one enqueue go to using({options[0]}=...).enqueue(...)" if options else ""


def misspelt_argument_hint(keywords: Collection[str], parameters: Iterable[str]) -> str:
    """Return which argument of a job the first misspelt one of ``keywords`` was meant to be."""
    free = [name for name in parameters if name not in keywords]
    found = ((name, near) for name in keywords if (near := find_near(name, free)) is not None)
    name, near = next(found, ("", ""))
    return f"; did you mean {near}= by {name}=?" if near else ""


def explains_options(kind: type[T]) -> type[T]:
    """Have the constructor of ``kind`` answer an unknown keyword with its own options and a hint, in a TypeError."""
    construct: Any = kind.__init__
    known = dict.fromkeys(name for name in inspect.signature(construct).parameters if name != "self").keys()

    @wraps(construct)
    def construct_checked(self: Any, *args: Any, **options: Any) -> None:
        if not options.keys() <= known:
            unknown = [name for name in options if name not in known]
            raise TypeError(unknown_options(kind.__name__, unknown, known, elsewhere={}))
        construct(self, *args, **options)

    kind.__init__ = construct_checked  # type: ignore[method-assign]
    return kind
