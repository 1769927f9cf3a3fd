"""Jobs that tell outside of the database that they began, so that an audit can compare."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from django_jobs import Snooze, current_job, job
from django_jobs.backoff import Constant
from tests.sampleapp.models import Customer

AT_ONCE: dict[str, Any] = {"backoff": Constant(timedelta(0)), "max_attempts": 4}


def _began(path: str) -> None:
    """Append this job's id in one write, which no kill can tear apart."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{current_job().job_id}\n".encode())
    os.close(descriptor)


def _is_first(path: str, what: str) -> bool:
    """Tell whether this job comes here for the first time, over all its tries."""
    mark = Path(f"{path}.{what}.{current_job().job_id}")
    try:
        mark.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


@job
def quick(path: str) -> None:
    _began(path)


@job
def slow(path: str) -> None:
    _began(path)
    time.sleep(0.1)


@job
async def on_loop(path: str) -> None:
    _began(path)
    await asyncio.sleep(0.02)


@job(**AT_ONCE)
def fails_at_first(path: str) -> None:
    _began(path)
    if current_job().attempt < 3:
        raise RuntimeError("not yet")


@job(**AT_ONCE)
def fails_always(path: str) -> None:
    _began(path)
    raise RuntimeError("never")


@job
def snoozes(path: str) -> None:
    _began(path)
    if _is_first(path, "snoozed"):
        raise Snooze(timedelta(seconds=0.1))


@job
def kills_its_worker(path: str) -> None:
    _began(path)
    if _is_first(path, "killed"):
        os.kill(os.getpid(), signal.SIGKILL)


@job(atomic=True)
def effect(path: str) -> None:
    """Leave one row: exactly one, however often this is begun."""
    _began(path)
    Customer.objects.create(name=f"effect of {current_job().job_id}")
    time.sleep(0.01)


@job
def fans_out(path: str) -> None:
    _began(path)
    quick.enqueue(path)


HARMLESS = (quick, slow, on_loop, fails_at_first, fails_always, snoozes, effect, fans_out)
EXPECTED = {one.name: "succeeded" for one in (*HARMLESS, kills_its_worker)} | {fails_always.name: "dead"}
"""The state in which each must end, whatever happens to its workers."""
