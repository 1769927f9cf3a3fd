"""The job that is measured: it does nothing, so that what is left is the engine."""

from __future__ import annotations

from django_jobs import job

QUEUE = "default"
WARM_UP_QUEUE = "warm-up"
OTHER_QUEUE = "other"
"""A queue that no worker of the benchmark serves."""


@job(queue_name=QUEUE)
def noop(x: int) -> None:
    """Do nothing."""
