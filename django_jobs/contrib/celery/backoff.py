"""The wait before an automatic retry, as Celery computes it: 1, 2, 4 ... seconds with full jitter."""

from __future__ import annotations

from random import Random
from typing import Any


def backoff_seconds(*, factor: int, retries: int, maximum: int, full_jitter: bool, random: Random) -> int:
    """Return ``factor * 2 ** retries``, at most ``maximum``; with jitter a whole number from 0 to that."""
    seconds = min(maximum, factor * 2 ** min(retries, 64))
    return max(0, random.randrange(seconds + 1) if full_jitter else seconds)


def autoretry_options(task: Any, *, retries: int, random: Random) -> dict[str, Any]:
    """Return what ``retry`` is called with after an exception of ``autoretry_for``."""
    options = dict(task.retry_kwargs)
    if task.retry_backoff:
        options["countdown"] = backoff_seconds(
            factor=int(max(1.0, float(task.retry_backoff))),
            retries=retries,
            maximum=int(task.retry_backoff_max),
            full_jitter=bool(task.retry_jitter),
            random=random,
        )
    return options
