"""How far the next step of a search looks: further each time, within the time that is left."""

from __future__ import annotations

MAX_GROWTH = 16
"""No step looks at more than this many times the rows of the one before: those may be slower to read."""
SHARE = 0.75
"""Share of the time that is left which a step may be expected to take."""


def next_scan(scan: int, *, took: float, left: float) -> int:
    """Return how many rows the next step may look at, after one that looked at ``scan`` in ``took`` seconds.

    ``left`` are the seconds until the search is to end. 0 if a step as large as the last one would not fit any more.
    """
    if left <= 0:
        return 0
    fitting = int(scan * SHARE * left / took) if took > 0 else scan * MAX_GROWTH
    return min(fitting, scan * MAX_GROWTH) if fitting >= scan else 0
