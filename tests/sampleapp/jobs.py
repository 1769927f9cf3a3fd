"""Jobs for the tests: found by autodiscovery, run by workers that tests start."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import Any

from django.db.models import F

from django_jobs import Cancelled, Constant, Discard, JobContext, Snooze, current_job, job

from .models import Customer


@job
def do_nothing() -> None:
    """Return None."""


@job
def echo(value: Any = None) -> Any:
    """Return what came."""
    return value


@job
def add(first: int, second: int = 0) -> int:
    return first + second


@job
def count_visit(customer_id: int) -> None:
    """Add one to the customer's visits: tells how often a job really ran."""
    Customer.objects.filter(pk=customer_id).update(visits=F("visits") + 1)


@job(atomic=True)
def count_visit_once(customer_id: int) -> None:
    """Do the same, together with the finish."""
    Customer.objects.filter(pk=customer_id).update(visits=F("visits") + 1)


@job(discard_on=Customer.DoesNotExist)
def greet(customer: Customer) -> str:
    return f"Hello {customer.name}"


@job(max_attempts=2, backoff=Constant(timedelta(0)))
def fail(message: str = "it broke") -> None:
    raise RuntimeError(message)


@job
def discard(reason: str) -> None:
    raise Discard(reason)


@job
def end_if_asked() -> str:
    """End as cancelled where somebody has asked for it."""
    if current_job().cancel_requested():
        raise Cancelled("asked to")
    return "went on"


@job(schedulable=True, queue_name="long")
def wait_until_asked() -> None:
    """Run until somebody asks for its end, for a minute at the most."""
    for _ in range(600):
        if current_job().cancel_requested():
            raise Cancelled("asked to")
        time.sleep(0.1)


@job
async def end_if_asked_async() -> str:
    """Do the same on the event loop."""
    if await current_job().acancel_requested():
        raise Cancelled("asked to")
    return "went on"


@job(atomic=True)
def write_and_cancel(customer_id: int) -> None:
    """Write, then think better of it."""
    Customer.objects.filter(pk=customer_id).update(visits=99)
    raise Cancelled


@job
def snooze(seconds: float) -> None:
    raise Snooze(seconds)


@job(takes_context=True)
def report(context: JobContext, steps: int) -> int:
    """Show progress step by step."""
    for step in range(steps + 1):
        context.set_progress(step, steps, f"step {step}")
    return context.attempt


@job(name="sample.named", queue_name="documents", priority=10, max_attempts=3)
def named(value: int) -> int:
    return value


@job
async def echo_async(value: Any = None) -> Any:
    await asyncio.sleep(0)
    return value


@job(schedulable=True)
def digest(region: str = "eu", limit: int = 10) -> str:
    """Do what staff may schedule."""
    return f"{region} {limit}"


@job
def enqueue_another(depth: int) -> None:
    """Enqueue a job like this one until ``depth`` is used up."""
    if depth:
        enqueue_another.enqueue(depth - 1)
