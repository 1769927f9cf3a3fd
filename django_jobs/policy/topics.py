"""Patterns of names such as ``orders.placed``: ``*`` stands for one word, ``#`` for any number, as in AMQP."""

from __future__ import annotations

from functools import lru_cache

ONE_WORD, ANY_WORDS = "*", "#"


def is_pattern(name: str) -> bool:
    """Tell whether a name has a word that stands for others."""
    return not {ONE_WORD, ANY_WORDS}.isdisjoint(name.split("."))


@lru_cache(maxsize=10_000)
def matches(pattern: str, name: str) -> bool:
    """Tell whether ``name`` matches: ``orders.*`` is orders.placed, ``orders.#`` also orders and orders.eu.placed."""
    words = name.split(".")
    reached = {0}  # how many words the pattern's words so far may stand for
    for word in pattern.split("."):
        if word == ANY_WORDS:
            reached = set(range(min(reached), len(words) + 1)) if reached else set()
        else:
            reached = {at + 1 for at in reached if at < len(words) and word in (ONE_WORD, words[at])}
    return len(words) in reached
