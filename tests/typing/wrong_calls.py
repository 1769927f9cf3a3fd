"""Checked by mypy, never run: each wrong call must be a type error, or its ignore comment is reported as unused."""

from __future__ import annotations

from datetime import timedelta

from django_jobs import chain, find_job, job, operations, schedule
from django_jobs.backoff import Constant, Exponential
from django_jobs.context import JobContext
from django_jobs.exceptions import RateLimited
from django_jobs.limits import CircuitBreaker, Concurrency, Ordering, RateLimit
from django_jobs.models import DeadLetter, Job, Queue, Worker
from django_jobs.operations import CancelResult
from django_jobs.uniqueness import Unique
from django_jobs.workflows import RESULT


@job
def plain(user_id: int, name: str = "") -> str:
    return f"{user_id} {name}"


@job(queue_name="documents", priority=10, max_attempts=5, backoff=Exponential(), timeout=timedelta(minutes=5))
def with_options(order_id: int) -> None: ...


@job
def with_name(user_id: int, name: str) -> None: ...


@job
def without_arguments() -> None: ...


@job(takes_context=True)
def with_context(context: JobContext, order_id: int) -> None: ...


@job(unique=Unique(by=("user_id",), debounce=timedelta(seconds=10)))
def unique(user_id: int) -> None: ...


@job(
    rate_limit="10/s",
    concurrency=Concurrency(3, key="partner"),
    ordering_key=lambda partner, **_: partner,
    breaker=CircuitBreaker(failures=5, open_for=timedelta(minutes=5), key="partner"),
)
def limited(partner: str) -> int:
    raise RateLimited(retry_after=30)


@job(
    rate_limit=RateLimit(10, burst=20, counts_from="start"),
    ordering_key=Ordering(key="partner", release_on_retry=True),
)
def limited_otherwise(partner: str) -> None: ...


@job
async def asynchronous(url: str) -> int:
    return len(url)


def right_calls() -> None:
    one: Job = plain.enqueue(7)
    many: list[Job] = plain.enqueue_many([{"user_id": 1}, (2, "Ada")])
    text: str = plain(7, name="Ada")
    plain.using(run_after=timedelta(hours=1), queue_name="slow", priority=-5, max_attempts=2).enqueue(7)
    plain.using(idempotency_key="k", idempotency_window=timedelta(days=1)).enqueue(7)
    plain.using(idempotency_key=lambda user_id, **_: f"user-{user_id}").enqueue_many([(1,), (2,)])
    is_duplicate: bool = find_job("mail.send").using(idempotency_key="k").enqueue(7).is_duplicate
    print(unique.enqueue(7), is_duplicate)
    counted: int = plain.enqueue_stream((pk,) for pk in range(7))
    chain(plain.s(7, "Ada"), with_name.s("news"), with_name.s(7, "news"), with_name.s(RESULT, name="news"))
    without_arguments.s()
    with_options.enqueue(order_id=3)
    with_context.enqueue(3)
    limited.enqueue("acme")
    limited_otherwise.enqueue("acme")
    print(one, many, text, counted)


async def right_async_calls() -> None:
    length: int = await asynchronous("https://example.com")
    one: Job = await asynchronous.aenqueue("https://example.com")
    print(length, one)


def wrong_calls() -> None:
    plain.enqueue("seven")  # type: ignore[arg-type]
    plain.enqueue()  # type: ignore[call-arg]
    plain.enqueue(7, nickname="Ada")  # type: ignore[call-arg]
    plain("seven")  # type: ignore[arg-type]
    with_options.using(priority="high").enqueue(1)  # type: ignore[arg-type]
    with_options.using(queue_name="slow").enqueue("three")  # type: ignore[arg-type]
    with_options.using(urgent=True)  # type: ignore[call-arg]
    with_context.enqueue(JobContext, 3)  # type: ignore[call-arg, arg-type]
    with_name.s(7)  # type: ignore[call-overload]
    with_name.s(7, "news", 3)  # type: ignore[call-overload]
    with_name.s("seven", "news")  # type: ignore[call-overload]
    with_name.s(7, nickname="Ada")  # type: ignore[call-overload]
    without_arguments.s(7)  # type: ignore[call-overload]
    plain.s(7).using(urgent=True)  # type: ignore[call-arg]
    plain.s(7).using(priority="high")  # type: ignore[arg-type]
    find_job("mail.send").using(priority="high")  # type: ignore[arg-type]
    plain.enqueue_many(7)  # type: ignore[arg-type]
    plain.name = "other"  # type: ignore[misc]
    asynchronous.enqueue(7)  # type: ignore[arg-type]
    plain.using(idempotency_key=7)  # type: ignore[arg-type]
    plain.using(idempotency_window="a day")  # type: ignore[arg-type]
    unique.enqueue("seven")  # type: ignore[arg-type]
    job(unique=("user_id",))  # type: ignore[call-overload]
    Unique(by=7)  # type: ignore[arg-type]
    Unique(debounce=10)  # type: ignore[arg-type]
    Unique(on_conflict="raise")  # type: ignore[arg-type]
    limited.enqueue(7)  # type: ignore[arg-type]
    job(rate_limit=5)  # type: ignore[call-overload]
    job(rate_limit=Concurrency(3))  # type: ignore[call-overload]
    job(concurrency="3")  # type: ignore[call-overload]
    job(ordering_key=5)  # type: ignore[call-overload]
    job(breaker=5)  # type: ignore[call-overload]
    RateLimit("10")  # type: ignore[arg-type]
    RateLimit(10, per=1)  # type: ignore[arg-type]
    RateLimit(10, counts_from="middle")  # type: ignore[arg-type]
    Concurrency(3, key=["partner"])  # type: ignore[arg-type]
    Ordering()  # type: ignore[call-arg]
    CircuitBreaker(5)  # type: ignore[call-arg]
    CircuitBreaker(failures=5, within=60)  # type: ignore[arg-type]
    RateLimited()  # type: ignore[call-arg]
    job(max_attempts="five")  # type: ignore[call-overload]
    job(backoff="soon")  # type: ignore[arg-type]
    job(backoff=Constant(timedelta(seconds=5)), retries=3)  # type: ignore[call-overload]
    job(cron="@daily", overlap=3)  # type: ignore[call-overload]
    schedule("poll", plain, every=10, args={"count": 7}, often=True)  # type: ignore[call-arg]
    schedule("poll", print, every=10)  # type: ignore[arg-type]


def right_operations() -> None:
    result: CancelResult = Job.objects.running().filter(queue_name="mail").cancel(by="ada")
    redriven: int = Job.objects.dead().redrive(by="ada") + DeadLetter.objects.open().redrive(by="ada")
    copies: list[int] = Job.objects.succeeded().replay()
    paused: int = Queue.objects.filter(name="mail").pause(by="ada")
    alive: list[Worker] = list(Worker.objects.alive())
    one: CancelResult = Job.objects.get(pk=7).cancel(by="ada")
    cancelled: int = operations.cancel(7).cancelled + operations.cancel_batch(3, by="ada").requested
    print(result, redriven, copies, paused, alive, one, cancelled)


def wrong_operations() -> None:
    Job.objects.running().cancel("ada")  # type: ignore[call-arg]
    Job.objects.running().resolve()  # type: ignore[attr-defined]
    Job.objects.forgotten()  # type: ignore[attr-defined]
    DeadLetter.objects.open().cancel()  # type: ignore[attr-defined]
    operations.cancel("7")  # type: ignore[arg-type]
    operations.resolve(Job.objects.dead())  # type: ignore[arg-type]
    operations.pause(7)  # type: ignore[arg-type]
