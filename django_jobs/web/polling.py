"""How clients poll a job's status: when to ask again, and how long one request may wait."""

from __future__ import annotations

import math
from datetime import timedelta

from ..policy.states import FINAL_STATES, State

MIN_RETRY_AFTER_SECONDS, MAX_RETRY_AFTER_SECONDS = 1, 60
AGE_DIVISOR = 10
"""A client that asks again after a tenth of the job's age learns of its end at most a tenth late."""


def retry_after(state: State, *, age: timedelta, due_in: timedelta | None = None) -> int | None:
    """Return the seconds after which to ask again, or None if nothing will change.

    A tenth of the job's ``age``, from 1 to 60; for a scheduled job at least until it is due.
    """
    if state in FINAL_STATES:
        return None
    seconds = math.ceil(age.total_seconds() / AGE_DIVISOR)
    bounded = min(max(seconds, MIN_RETRY_AFTER_SECONDS), MAX_RETRY_AFTER_SECONDS)
    if due_in is None or state is not State.SCHEDULED:
        return bounded
    return max(bounded, math.ceil(due_in.total_seconds()))


def parse_wait(text: str | None, *, max_wait: timedelta) -> float:
    """Return the seconds of ``?wait=``, 0 if it is missing. Raises ValueError saying what was expected."""
    if text is None:
        return 0.0
    bound = max_wait.total_seconds()
    expected = f"expected wait= with a number of seconds from 0 to {bound:g}"
    try:
        seconds = float(text)
    except ValueError:
        raise ValueError(f"{expected}, got {text[:40]!r}") from None
    if not 0 <= seconds <= bound:
        raise ValueError(f"{expected}, got {text[:40]}; ask again for longer waits")
    return seconds
