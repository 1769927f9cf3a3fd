"""Rows of a heat map: run times over time, in bands of durations that fit on a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MAX_BANDS = 12
LEVELS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """Durations from the bucket ``first`` to ``last``; ``cells``: number and level (0 to 5) of each column."""

    first: int
    last: int
    cells: tuple[tuple[int, int], ...]


def heat_map(columns: Sequence[Mapping[int, int]]) -> list[Band]:
    """Return the bands, the longest durations first; none if nothing was measured.

    Levels are shares of the greatest number, each level twice the one below it: rare long runs are still seen.
    """
    buckets = {bucket for column in columns for bucket in column}
    if not buckets:
        return []
    lowest, highest = min(buckets), max(buckets)
    width = next(width for width in (2, 4, 8, 16, 32) if highest // width - lowest // width < MAX_BANDS)
    rows = range(highest // width, lowest // width - 1, -1)
    numbers = {row: [_in_band(column, row * width, width) for column in columns] for row in rows}
    highest_number = max(max(of_row) for of_row in numbers.values())
    return [
        Band(
            first=row * width,
            last=row * width + width - 1,
            cells=tuple((number, _level(number, highest_number)) for number in numbers[row]),
        )
        for row in rows
    ]


def _in_band(column: Mapping[int, int], first: int, width: int) -> int:
    return sum(column.get(bucket, 0) for bucket in range(first, first + width))


def _level(number: int, highest: int) -> int:
    """Return 0 for nothing, 5 for more than half of the most, 4 for more than a quarter, and so on, at least 1."""
    if not number:
        return 0
    level = LEVELS
    while level > 1 and number * 2 <= highest:
        number, level = number * 2, level - 1
    return level
