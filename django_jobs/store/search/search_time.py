"""Search on, step by step, until a page is full, the rows have ended or the time is used up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from ...policy.search_steps import next_scan
from .keyset_pages import KeysetPage

R = TypeVar("R")

ReadStep = Callable[[str, int, int], KeysetPage[R]]
"""Returns up to ``limit`` rows behind the cursor ``after``, among the next ``scan``: ``read(after, limit, scan)``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchTime:
    """How long one page may be searched for, by ``clock``; ``max_steps`` bounds the statements."""

    clock: Callable[[], float]
    seconds: float
    max_steps: int = 3


def search_on(read: ReadStep[R], *, after: str, limit: int, scan: int, within: SearchTime | None) -> KeysetPage[R]:
    """Return a page of ``limit`` rows, or as many as the time suffices to find; without a time one step's.

    Each step looks further than the one before, as far as its pace suggests (``policy/search_steps.py``).
    """
    if within is None:
        return read(after, limit, scan)
    began, looked = within.clock(), scan
    end = began + within.seconds
    page = read(after, limit, scan)
    for _ in range(1, within.max_steps):
        if not page.is_truncated or page.next_cursor is None:
            break
        now = within.clock()
        looked = next_scan(looked, took=now - began, left=end - now)
        if not looked:
            break
        began = now
        page = _joined(page, read(page.next_cursor, limit - len(page.rows), looked))
    return page


def _joined(page: KeysetPage[R], further: KeysetPage[R]) -> KeysetPage[R]:
    """Return both as one page, from the beginning of the first to the end of the second."""
    return replace(
        further,
        rows=[*page.rows, *further.rows],
        scanned=page.scanned + further.scanned if further.is_truncated else 0,
        highest=page.highest or further.highest,
    )
