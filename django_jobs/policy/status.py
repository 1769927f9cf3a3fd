"""What a client is told of a job's state: whether it is a problem, and when to ask again."""

from __future__ import annotations

import math
from datetime import timedelta

from .http_problems import ProblemKind
from .states import FINAL_STATES, State

MIN_RETRY_AFTER_SECONDS, MAX_RETRY_AFTER_SECONDS = 1, 60
AGE_DIVISOR = 10
"""Who asks again after a tenth of the time that a job has taken so far learns of its end a tenth late at the most."""


def retry_after(state: State, *, age: timedelta, due_in: timedelta | None = None) -> int | None:
    """Return in how many whole seconds it is worth asking again, or None where nothing more will change.

    A tenth of the job's ``age``, from 1 to 60; not before it is due where that is later.
    """
    if state in FINAL_STATES:
        return None
    seconds = math.ceil(age.total_seconds() / AGE_DIVISOR)
    bounded = min(max(seconds, MIN_RETRY_AFTER_SECONDS), MAX_RETRY_AFTER_SECONDS)
    if due_in is None or state is not State.SCHEDULED:
        return bounded
    return max(bounded, math.ceil(due_in.total_seconds()))


def problem_for_state(state: State) -> ProblemKind | None:
    """Return the problem that a job in this state is to somebody who waits for its result, if it is one."""
    return {State.DEAD: ProblemKind.JOB_DEAD, State.CANCELLED: ProblemKind.JOB_CANCELLED}.get(state)


def parse_wait(text: str | None, *, max_wait: timedelta) -> float:
    """Return the seconds of ``?wait=``, 0 where it is not given. Raises ValueError saying what was expected."""
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
