"""A database clock that runs fast, for workers of tests: days with their nights of clock changes in seconds.

Only schedules live by it: they ask the dialect what time it is. Jobs and heartbeats live by the database's own.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime

VARIABLE = "DJANGO_JOBS_TEST_CLOCK"


def clock_from(start: datetime, *, speed: float) -> str:
    """Return the value of the environment variable for a clock that shows ``start`` now and runs so fast."""
    return f"{start.timestamp()} {time.time()} {speed}"


def fast_now(value: str | None = None) -> datetime:
    """Return what the clock shows, on every process of this host alike."""
    start, began, speed = map(float, (value or os.environ[VARIABLE]).split())
    return datetime.fromtimestamp(start + (time.time() - began) * speed, UTC)


def speed() -> float:
    return float(os.environ[VARIABLE].split()[2])
