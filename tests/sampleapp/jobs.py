"""Jobs for the tests: found by autodiscovery, run by workers that tests start."""

from __future__ import annotations

import asyncio
import contextlib
import time
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal
from uuid import UUID, uuid4

from django.db import IntegrityError
from django.db.models import F

from django_jobs import Cancel, Discard, Snooze, current_job, job, once
from django_jobs.backoff import Constant
from django_jobs.batches import completed_batch, current_batch
from django_jobs.context import JobContext
from django_jobs.limits import CircuitBreaker, Concurrency, Ordering, RateLimit
from django_jobs.uniqueness import Unique

from . import calls, chunked, consumed  # noqa: F401 - registers their jobs
from .models import Customer


@job
def do_nothing() -> None:
    """Return None."""


@job(name="sample")
def take_anything(**values: Any) -> None:
    """Stand for the jobs that ``tests.factories`` makes: their values are shown, because their code is known."""


@job
def echo(value: Any = None) -> Any:
    """Return what came."""
    return value


@job
def doze(seconds: float) -> None:
    time.sleep(seconds)


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


@job(atomic=True)
def count_visit_here(customer_id: int) -> str:
    """Do the same in the job's own database, and have the next job go there too, of several; return which it is."""
    alias = current_job().database
    Customer.objects.using(alias).filter(pk=customer_id).update(visits=F("visits") + 1)
    do_nothing.enqueue()
    return alias


@job
def count_running(folder: str) -> int:
    """Return how many of these jobs run at this moment, of all databases and workers on the folder."""
    own = Path(folder) / uuid4().hex
    own.touch()
    time.sleep(0.02)
    running = len(list(Path(folder).iterdir()))
    own.unlink()
    return running


@job
async def name_database() -> list[str]:
    """Return the job's database, and that of a job which it enqueues."""
    enqueued = await do_nothing.aenqueue()
    return [current_job().database, enqueued._state.db or ""]


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
    if current_job().cancel_requested:
        raise Cancel("asked to")
    return "went on"


@job(schedulable=True, queue_name="long")
def wait_until_asked() -> None:
    """Run until somebody asks for its end, for a minute at the most."""
    for _ in range(600):
        if current_job().cancel_requested:
            raise Cancel("asked to")
        time.sleep(0.1)


@job
def check_for_ever() -> None:
    while True:
        current_job().raise_if_cancelled()
        time.sleep(0.02)


@job
async def end_if_asked_async() -> str:
    """Do the same on the event loop."""
    if await current_job().acancel_requested():
        raise Cancel("asked to")
    return "went on"


@job(atomic=True)
def write_and_cancel(customer_id: int) -> None:
    """Write, then think better of it."""
    Customer.objects.filter(pk=customer_id).update(visits=99)
    raise Cancel


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
def typed(
    number: int,
    text: str,
    when: date,
    *,
    flag: bool,
    size: Literal["small", "large"] = "small",
    share: float = 0.5,
    data: dict[str, Any] | None = None,
    **options: Any,
) -> None:
    """Take an argument of each kind that has a form field of its own."""


@job
def enqueue_another(depth: int) -> None:
    """Enqueue a job like this one until ``depth`` is used up."""
    if depth:
        enqueue_another.enqueue(depth - 1)


@job(result_ttl=timedelta(hours=1))
def echo_for_an_hour(value: Any = None) -> Any:
    return value


@job(atomic=True)
def break_transaction(customer_id: int, value: Any) -> Any:
    """Return as if all were well, in a transaction that can only be rolled back."""
    with contextlib.suppress(IntegrityError):
        Customer(pk=customer_id, name="a second one").save(force_insert=True)
    return value


@job(atomic=True)
def echo_atomic(value: Any = None) -> Any:
    return value


@job(rate_limit=RateLimit(2, per=timedelta(hours=1), key="api"))
def call_api(api: str, path: str = "/") -> str:
    """Call a partner who allows two calls an hour."""
    return f"{api}{path}"


@job(concurrency=Concurrency(2, key="customer_id"))
def render(customer_id: int | None) -> None:
    """Render something for a customer, two at a time; for nobody in particular without limit."""


@job(ordering_key="customer_id")
def bill(customer_id: int, number: int = 0) -> int:
    """Write a customer's invoices one after another."""
    return number


@job(ordering_key=Ordering(key="customer_id", release_on_retry=True))
def bill_aside(customer_id: int) -> None:
    """Do the same, but let others go ahead while a failed one waits."""


@job(breaker=CircuitBreaker(failures=2, within=timedelta(hours=1), open_for=timedelta(hours=1), key="partner"))
def ask_partner(partner: str) -> None:
    """Ask a partner who is down now and then."""


@job(ordering_key="customer_id", concurrency=Concurrency(1, key="api"), rate_limit="2/h")
def sync_customer(customer_id: int, api: str) -> None:
    """Be under three limits at once."""


@job(unique=Unique(by=("user_id",)))
def sync(user_id: int, reason: str = "") -> str:
    return f"{user_id} {reason}"


@job(unique=Unique(by=("user_id",), states=("blocked", "scheduled", "ready", "running")))
def sync_alone(user_id: int) -> int:
    return user_id


@job(unique=Unique(by=("user_id",), on_conflict="replace"))
def sync_newest(user_id: int, reason: str = "") -> str:
    return f"{user_id} {reason}"


@job(unique=Unique(by=("user_id",), on_conflict="reschedule"))
def remind(user_id: int, reason: str = "") -> str:
    return f"{user_id} {reason}"


@job(unique=Unique(by=("user_id",), debounce=timedelta(seconds=10), max_wait=timedelta(seconds=25)))
def index(user_id: int, reason: str = "") -> str:
    return f"{user_id} {reason}"


@job
def count_visit_by_key(customer_id: int, visit: str) -> int:
    """Add one to the customer's visits for each visit, however often this runs; return how many there were then."""
    with once("visit", customer_id, visit) as first:
        if first:
            Customer.objects.filter(pk=customer_id).update(visits=F("visits") + 1)
            first.store(Customer.objects.get(pk=customer_id).visits)
    return int(first.stored)


@job(redact=("card",))
def charge(card: str) -> str:
    """Return what must not be shown."""
    return f"charged {card}"


@job
def record(
    user: int,
    at: datetime,
    amount: Decimal,
    *tags: str,
    kind: Literal["sale", "refund"] = "sale",
    reference: UUID | None = None,
    until: date | None = None,
    is_paid: bool = False,
    api_token: str = "not for everybody",
    **more: float,
) -> str:
    """Take an argument of each kind.

    Not in the summary.
    """
    return f"{user} {at.isoformat()} {amount} {tags} {kind} {reference} {until} {is_paid} {sorted(more)}"


@job
def add_all(numbers: list[int], extra: int = 0) -> int:
    """Return the sum: the step behind a group."""
    return sum(numbers) + extra


@job
def grow(depth: int) -> None:
    """Add a job like this one to its own batch until ``depth`` is used up."""
    if depth:
        current_batch().add(grow.s(depth - 1))


@job
def tell_batch() -> int:
    """Return which batch's end enqueued this."""
    return completed_batch().id


@job
def return_too_much() -> str:
    return "x" * 1_100_000


@job(max_attempts=1)
def fail_unless(path: str) -> str:
    """Die where the file is not there: after a redrive it may be."""
    if not Path(path).exists():
        raise RuntimeError("it is not there")
    return "it is there"


@job(
    unique=Unique(by=("user_id",), on_conflict="replace"),
    concurrency=Concurrency(1, key=lambda api, **_: api or None),
)
def sync_by_api(user_id: int, api: str = "") -> str:
    """Be unique, and with an API under a limit of that."""
    return f"{user_id} {api}"


@job(unique=Unique(by=("user_id",), debounce=timedelta(seconds=10)), concurrency=1)
def index_alone(user_id: int) -> int:
    """Be put off, and one at a time."""
    return user_id


@job(expires=timedelta(hours=1))
def coupon(number: int) -> int:
    """Return the number of a coupon that is good for an hour."""
    return number


@job
def tell_id() -> list[int | str]:
    """Return the id of this job as people see it, and its number."""
    return [current_job().public_id, current_job().job_id]
