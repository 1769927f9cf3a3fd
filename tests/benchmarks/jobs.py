"""The job that is measured: it does nothing, so that what is left is the engine."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import cast

from django_jobs import Chunk, ChunkItem, job
from django_jobs.contrib.tasks import as_job
from django_jobs.contrib.tasks.calls import TaskCall
from django_jobs.contrib.tasks.definition import TaskJob
from django_jobs.limits import Concurrency, Ordering, RateLimit
from django_jobs.models import Job
from django_jobs.uniqueness import Unique

from .queue_names import QUEUE

try:
    from django.tasks import task
except ImportError:  # Django 5.2
    from django_tasks import task

KEYS = 1_000


@job(queue_name=QUEUE)
def noop(x: int) -> None:
    """Do nothing."""


@job(queue_name=QUEUE)
def read(x: int) -> None:
    """Ask the database something, long enough that all threads of a worker take part."""
    Job.objects.filter(pk=x).exists()
    time.sleep(0.05)


@job(queue_name=QUEUE)
def nap(x: int) -> None:
    """Take 50 to 150 ms, 100 on average, and no processor."""
    time.sleep(0.05 + 0.01 * (x % 11))


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


@job(queue_name=QUEUE, chunk=Chunk(500, wait=timedelta(milliseconds=50)))
def together(jobs: Sequence[ChunkItem[int]]) -> None:
    """Do nothing, with up to 500 jobs at once."""


@task(queue_name=QUEUE)
def noop_task(x: int) -> None:
    """Do nothing, as a Task whose argument was given by position."""


tasks = cast("TaskJob", as_job(noop_task)).called(TaskCall(positions=("x",)))

LIMITED = {
    "keyed_rate": rated,
    "keyed_concurrency": side_by_side,
    "in_order": in_order,
    "tasks": tasks,
    "chunks": together,
}
"""What is drained by the measures that compare a feature with the plain drain."""


@job(queue_name=QUEUE, unique=Unique(by=("x",)))
def unique_noop(x: int) -> None:
    """Do nothing, and wait only once for each ``x``."""
