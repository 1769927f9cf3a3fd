"""What a client is told of a job's state: whether it is a problem, and when to ask again."""

from __future__ import annotations

import math
from datetime import timedelta

from .http_problems import Kind
from .states import FINAL_STATES, State

SOONEST_SECONDS, LATEST_SECONDS = 1, 60
SHARE_OF_AGE = 10
"""Who asks again after a tenth of the time that a job has taken so far learns of its end a tenth late at the most."""


def retry_after(state: State, *, age: timedelta, due_in: timedelta | None = None) -> int | None:
    """Return in how many whole seconds it is worth asking again, or None where nothing more will change.

    A tenth of the job's ``age``, from 1 to 60; not before it is due where that is later.
    """
    if state in FINAL_STATES:
        return None
    seconds = math.ceil(age.total_seconds() / SHARE_OF_AGE)
    bounded = min(max(seconds, SOONEST_SECONDS), LATEST_SECONDS)
    if due_in is None or state is not State.SCHEDULED:
        return bounded
    return max(bounded, math.ceil(due_in.total_seconds()))


def problem_of(state: State) -> Kind | None:
    """Return the problem that a job in this state is to somebody who waits for its result, if it is one."""
    return {State.DEAD: Kind.JOB_DEAD, State.CANCELLED: Kind.JOB_CANCELLED}.get(state)


def read_wait(text: str | None, *, at_most: timedelta) -> float:
    """Return the seconds of ``?wait=``, 0 where it is not given. Raises ValueError saying what was expected."""
    if text is None:
        return 0.0
    bound = at_most.total_seconds()
    expected = f"expected wait= with a number of seconds from 0 to {bound:g}"
    try:
        seconds = float(text)
    except ValueError:
        raise ValueError(f"{expected}, got {text[:40]!r}") from None
    if not 0 <= seconds <= bound:
        raise ValueError(f"{expected}, got {text[:40]}; ask again for longer waits")
    return seconds
