"""The job that is measured: it does nothing, so that what is left is the engine."""

from __future__ import annotations

from datetime import timedelta

from django_jobs import job
from django_jobs.limits import Concurrency, Ordering, RateLimit
from django_jobs.uniqueness import Unique

KEYS = 1_000
QUEUE = "default"
WARM_UP_QUEUE = "warm-up"
OTHER_QUEUE = "other"
"""A queue that no worker of the benchmark serves."""


@job(queue_name=QUEUE)
def noop(x: int) -> None:
    """Do nothing."""


def key(x: int) -> int:
    """Return one of a thousand keys."""
    return x % KEYS


@job(queue_name=QUEUE, rate_limit=RateLimit(1_000, per=timedelta(seconds=1), key=key))
def rated(x: int) -> None:
    """Do nothing, under a rate that is never reached, so that what is left is the engine."""


@job(queue_name=QUEUE, concurrency=Concurrency(4, key=key))
def side_by_side(x: int) -> None:
    """Do nothing, four of a key at once."""


@job(queue_name=QUEUE, ordering_key=Ordering(key=key))
def in_order(x: int) -> None:
    """Do nothing, those of a key one after another."""


LIMITED = {"keyed_rate": rated, "keyed_concurrency": side_by_side, "in_order": in_order}
"""What is drained by the measures that compare a feature with the plain drain."""


@job(queue_name=QUEUE, unique=Unique(by=("x",)))
def unique_noop(x: int) -> None:
    """Do nothing, and wait only once for each ``x``."""
