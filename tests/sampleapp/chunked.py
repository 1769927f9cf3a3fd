"""Jobs that are called in chunks: each leaves with its result how many were called with it."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, TypedDict

from django_jobs import Cancel, Chunk, ChunkItem, current_job, job
from django_jobs.exceptions import Discard, Retry, Snooze
from django_jobs.limits import Concurrency, RateLimit
from django_jobs.models import Job
from django_jobs.store.lifecycle.cancel import cancel as cancel_job

from .models import Customer


class Message(TypedDict):
    tenant: str
    text: str


def mark_each(jobs: Sequence[ChunkItem[Any]]) -> None:
    """Do with each job what its argument says."""
    marks: dict[str, Callable[[ChunkItem[Any]], object]] = {
        "fail": lambda item: item.fail(ValueError("this one")),
        "retry": lambda item: item.retry(after=timedelta(hours=1)),
        "snooze": lambda item: item.snooze(60),
        "discard": lambda item: item.discard("no use"),
        "cancel": lambda item: item.cancel("not wanted"),
        "succeed": lambda item: item.succeed("done"),
        "odd": lambda item: setattr(item, "result", iter(map(str, [1]))),
    }
    for item in jobs:
        item.result = len(jobs)
        if (mark := marks.get(item.arguments)) is not None:
            mark(item)
    if any(item.arguments == "raise" for item in jobs):
        raise RuntimeError("all of them")


@job(chunk=Chunk(500), max_attempts=2)
def mark(jobs: Sequence[ChunkItem[Any]]) -> None:
    mark_each(jobs)


@job(chunk=Chunk(500), max_attempts=2)
async def mark_async(jobs: Sequence[ChunkItem[Any]]) -> None:
    mark_each(jobs)


@job(chunk=Chunk(500), max_attempts=2, atomic=True)
def mark_atomic(jobs: Sequence[ChunkItem[Any]]) -> None:
    Customer.objects.bulk_create([Customer(name=str(item.arguments)) for item in jobs])
    mark_each(jobs)


@job(chunk=Chunk(500))
def isolate_each(jobs: Sequence[ChunkItem[str]]) -> None:
    """Raise in the block of each item what its argument names."""
    kinds = {"discard": Discard(), "retry": Retry(60), "snooze": Snooze(60), "cancel": Cancel()}
    for item in jobs:
        with item:
            assert current_job().job_id == item.job_id
            if item.arguments in kinds:
                raise kinds[item.arguments]
            item.result = "fine"


@job(chunk=Chunk(100, by=("tenant",)))
def send(jobs: Sequence[ChunkItem[Message]]) -> None:
    for item in jobs:
        item.result = sorted({other.arguments["tenant"] for other in jobs})


@job(chunk=Chunk(500), timeout=0.05)
def doze_together(jobs: Sequence[ChunkItem[str]]) -> None:
    jobs[0].succeed()
    while True:
        time.sleep(0.001)


@job(chunk=Chunk(20, wait=timedelta(seconds=5)), max_attempts=5)
def gather(jobs: Sequence[ChunkItem[str]]) -> None:
    """Kill the process of the chunk once, if an argument names a file that is not there."""
    for item in jobs:
        item.result = len(jobs)
        path = Path(item.arguments) if item.arguments else None
        if path is not None and not path.exists():
            path.touch()
            os.kill(os.getpid(), 9)


@job(chunk=Chunk(20, wait=timedelta(seconds=60)))
def gather_long(jobs: Sequence[ChunkItem[str]]) -> None:
    """Be called a minute after the first claim."""


@job(chunk=Chunk(10), concurrency=Concurrency(2))
def count_two(jobs: Sequence[ChunkItem[Any]]) -> None:
    for item in jobs:
        item.result = len(jobs)


@job(chunk=Chunk(10), rate_limit=RateLimit(3, per=timedelta(hours=1)))
def count_three(jobs: Sequence[ChunkItem[Any]]) -> None:
    for item in jobs:
        item.result = len(jobs)


@job(chunk=Chunk(10), concurrency=Concurrency(1, key=lambda argument: argument["tenant"]))
def one_a_tenant(jobs: Sequence[ChunkItem[Message]]) -> None:
    for item in jobs:
        item.result = sorted(other.arguments["tenant"] for other in jobs)


@job(chunk=Chunk(10))
def cancel_all_and_heed(jobs: Sequence[ChunkItem[str]]) -> None:
    """Request the cancellation of all, and end those early that are to look."""
    for item in jobs:
        cancel_job(Job.objects.filter(pk=item.job_id))
    for item in jobs:
        item.result = "went on"
        if item.arguments == "looks":
            with item:
                item.context.raise_if_cancelled()


@job(chunk=Chunk(10), timeout=0.05)
async def doze_async(jobs: Sequence[ChunkItem[str]]) -> None:
    jobs[0].succeed("in time")
    await asyncio.Event().wait()


@job(chunk=Chunk(10))
def log_each(jobs: Sequence[ChunkItem[str]]) -> None:
    logging.getLogger("chunked").warning("before all")
    for item in jobs:
        with item:
            logging.getLogger("chunked").warning("of %s", item.arguments)


@job(chunk=Chunk(10))
def tell_process(jobs: Sequence[ChunkItem[str]]) -> None:
    for item in jobs:
        item.result = os.getpid()


@job(chunk=Chunk(500))
def do_nothing(jobs: Sequence[ChunkItem[Any]]) -> None:
    """Touch none of the jobs."""


@job(chunk=Chunk(500))
def tell_all(jobs: Sequence[ChunkItem[Any]]) -> None:
    """Leave with every second job what all were given, and which job it is."""
    for item in jobs[1::2]:
        item.result = [item.context.job_id, item.context.metadata, [str(other.arguments) for other in jobs]]


kept: list[ChunkItem[Any]] = []


@job(chunk=Chunk(500))
def keep(jobs: Sequence[ChunkItem[Any]]) -> None:
    """Keep the items for later, as a function does that hands them to a thread of its own."""
    kept.extend(jobs)
