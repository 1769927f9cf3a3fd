"""Decide how well a text matches what somebody typed: every word must be in it, and a beginning counts most."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeVar

R = TypeVar("R")

MAX_QUERY_LENGTH = 200


def match_rank(text: str, query: str) -> int | None:
    """Return 0 for the same text, 1 if it begins with the query, 2 if a word of it does, 3 if it has all words.

    None if a word is missing, or nothing was typed. Upper and lower case are the same.
    """
    text, query = text.casefold(), query.casefold().strip()
    words = query.split()
    if not words or not all(word in text for word in words):
        return None
    if text == query:
        return 0
    if text.startswith(query):
        return 1
    return 2 if re.search(rf"(?<![^\W_]){re.escape(query)}", text) else 3


def best_matches(rows: Iterable[tuple[str, R]], query: str, *, limit: int) -> list[R]:
    """Return the values of the texts that match best, at most ``limit``; equally good ones in their order."""
    ranked = [(rank, row) for text, row in rows if (rank := match_rank(text, query)) is not None]
    return [row for _, row in sorted(ranked, key=lambda entry: entry[0])[:limit]]
