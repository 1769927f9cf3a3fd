"""Jobs that tell outside of the database when they began and ended, so that an audit can compare."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from django_jobs import Batch, Discard, Snooze, current_job, job, once
from django_jobs.backoff import Constant
from django_jobs.batches import current_batch
from django_jobs.exceptions import BatchEndedError
from django_jobs.limits import CircuitBreaker, Concurrency, RateLimit
from django_jobs.uniqueness import Unique
from tests.sampleapp.models import Customer

AT_ONCE: dict[str, Any] = {"backoff": Constant(timedelta(0)), "max_attempts": 4}
PATIENT: dict[str, Any] = {"backoff": Constant(timedelta(seconds=0.05)), "max_attempts": 1_000}
"""Of jobs that use the database: each connection that is cut may cost an attempt."""
PIECE_SECONDS = 0.02
LARGE = 3_000
"""Characters of a result that goes into a file."""

RATE = RateLimit(3, per=timedelta(seconds=0.4), key="key")
NARROW = Concurrency(2, key="key", name="narrow")
CAP = 3
"""The most running jobs that staff ever allow the queue of ``capped``."""


@contextmanager
def running(path: str, key: object = "") -> Iterator[None]:
    """Say in the file ``path`` when this run begins and, unless it is killed, when it ends."""
    _say(path, "begin", key)
    try:
        yield
    finally:
        _say(path, "end", key)


def _say(path: str, what: str, key: object) -> None:
    """Append a line in one write, which no kill can tear apart."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{what},{current_job().job_id},{key},{time.monotonic()}\n".encode())
    os.close(descriptor)


def _is_first(path: str, what: str) -> bool:
    """Tell whether this job comes here for the first time, over all its attempts."""
    mark = Path(f"{path}.{what}.{current_job().job_id}")
    try:
        mark.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def _sleep(seconds: float) -> None:
    """Sleep so that a cancellation or a timeout is heard at once."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(PIECE_SECONDS)


# Plain jobs, and jobs that fail


@job
def quick(path: str) -> None:
    with running(path):
        pass


@job
def slow(path: str) -> None:
    with running(path):
        time.sleep(0.1)


@job
async def on_loop(path: str) -> None:
    with running(path):
        await asyncio.sleep(0.02)


@job(**AT_ONCE)
def fails_at_first(path: str) -> None:
    with running(path):
        if current_job().attempt < 3:
            raise RuntimeError("not yet")


@job(**AT_ONCE)
def fails_always(path: str) -> None:
    with running(path):
        raise RuntimeError("never")


@job
def mended(path: str) -> None:
    """Die once; succeed after a redrive."""
    with running(path):
        if _is_first(path, "died"):
            raise Discard("until somebody has mended it")


@job
def snoozes(path: str) -> None:
    with running(path):
        if _is_first(path, "snoozed"):
            raise Snooze(timedelta(seconds=0.1))


@job
def kills_its_worker(path: str) -> None:
    with running(path):
        if _is_first(path, "killed"):
            os.kill(os.getpid(), signal.SIGKILL)


@job
def patient(path: str) -> None:
    """Run for so long that staff cancel it while it waits, or while it runs."""
    with running(path):
        _sleep(1)


@job
async def patient_on_loop(path: str) -> None:
    with running(path):
        await asyncio.sleep(1)


@job
def fleeting(path: str) -> None:
    """Be enqueued with a moment after which it is not to begin."""
    with running(path):
        pass


# Jobs whose effects are in the database


@job(atomic=True, **PATIENT)
def effect(path: str) -> None:
    """Leave one row: exactly one, however often this is begun."""
    with running(path):
        Customer.objects.create(name=f"effect of {current_job().job_id}")
        time.sleep(0.01)


@job(**PATIENT)
def charges(path: str, key: str) -> None:
    """Leave one row a key, whichever jobs have it and however often they are begun."""
    with running(path, key), once("charge", key) as first:
        if first:
            Customer.objects.create(name=f"charge of {key}")
            time.sleep(0.01)
            first.store(current_job().job_id)


@job(**PATIENT)
def fans_out(path: str) -> None:
    with running(path):
        quick.enqueue(path)


@job(max_attempts=1_000)
def writes_much(path: str) -> str:
    with running(path):
        return f"{current_job().job_id} ".ljust(LARGE, "x")


@job(max_attempts=1_000, result_ttl=0.3)
def writes_much_for_a_moment(path: str) -> str:
    return writes_much.function(path)


# Limits


@job(rate_limit=RATE, **AT_ONCE)
def rated(path: str, key: str) -> None:
    with running(path, key):
        pass


@job(concurrency=NARROW, **AT_ONCE)
def narrow(path: str, key: str) -> None:
    with running(path, key):
        time.sleep(0.02)
        if current_job().attempt < 2:
            raise RuntimeError("not yet")


@job(concurrency=NARROW)
async def narrow_on_loop(path: str, key: str) -> None:
    with running(path, key):
        await asyncio.sleep(0.03)


@job(ordering_key="key", **AT_ONCE)
def ordered(path: str, key: str) -> None:
    with running(path, key):
        if current_job().attempt < 2:
            raise RuntimeError("not yet")


@job(breaker=CircuitBreaker(failures=2, open_for=timedelta(seconds=0.2), key="key"), **AT_ONCE)
def guarded(path: str, key: str) -> None:
    with running(path, key):
        if current_job().attempt < 2:
            raise RuntimeError("not yet")


@job(
    rate_limit=RATE,
    concurrency=Concurrency(1, key="key"),
    ordering_key="key",
    breaker=CircuitBreaker(failures=3, open_for=timedelta(seconds=0.1), key="key"),
    atomic=True,
    **PATIENT,
)
def limited_by_all(path: str, key: str) -> None:
    with running(path, key):
        if _is_first(path, "failed"):
            raise RuntimeError("not yet")


@job(queue_name="capped")
def capped(path: str) -> None:
    with running(path):
        time.sleep(0.03)


# Keys


@job(unique=Unique(by=("key",)))
def single(path: str, key: str) -> None:
    with running(path, key):
        pass


@job(unique=Unique(by=("key",), debounce=timedelta(seconds=0.2), max_wait=timedelta(seconds=1)))
def debounced(path: str, key: str) -> None:
    with running(path, key):
        pass


@job
def idempotent(path: str) -> None:
    with running(path):
        pass


# Graphs and batches


@job
def number(path: str, value: int) -> int:
    with running(path):
        return value


@job(**AT_ONCE)
def add_up(numbers: list[int], path: str) -> int:
    with running(path):
        if current_job().attempt < 2:
            raise RuntimeError("not yet")
        return sum(numbers)


@job
def heir(path: str) -> None:
    """Wait for a job that dies."""
    with running(path):
        pass


@job(**PATIENT)
def grows(path: str, depth: int) -> None:
    """Add one more job to the batch, as long as somebody else has not ended it."""
    with running(path), suppress(BatchEndedError):
        if depth:
            current_batch().add(grows.s(path, depth - 1))


@job(**PATIENT)
def builds(path: str) -> None:
    """Build a batch, which a kill may leave open."""
    with running(path), Batch(description="built by a job", on_complete=on_complete.s(path)):
        slow.enqueue(path)
        time.sleep(0.02)
        slow.enqueue(path)


@job
def on_success(path: str) -> None:
    with running(path):
        pass


@job
def on_failure(path: str) -> None:
    with running(path):
        pass


@job
def on_complete(path: str) -> None:
    with running(path):
        pass


@job(schedulable=True)
def ticked(path: str) -> None:
    """Run for up to 1.2 seconds, so that some ticks find the last one's job unfinished."""
    with running(path):
        _sleep(current_job().job_id % 4 * 0.4)


ANY_END = frozenset({"succeeded", "cancelled"})
CALLBACKS = (on_success, on_failure, on_complete)
EXPECTED: dict[str, frozenset[str]] = {
    fails_always.name: frozenset({"dead"}),
    heir.name: frozenset({"cancelled"}),
    **{cancellable.name: ANY_END for cancellable in (patient, patient_on_loop, fleeting, ticked)},
}
"""The states in which jobs of a kind may end, whatever happens to their workers; of all others ``succeeded`` alone.

Jobs in a batch that staff have cancelled may be cancelled, too.
"""
HARMLESS = (quick, slow, on_loop, fails_at_first, fails_always, snoozes, effect, fans_out)
"""Kinds that need nothing but the path."""
