"""Checked by mypy, never run: each wrong call must be a type error, or its ignore comment is reported as unused."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta

from django_jobs import Chunk, ChunkItem, chain, find_job, job, operations, schedule
from django_jobs.backoff import Constant, Exponential, Linear
from django_jobs.context import JobContext
from django_jobs.exceptions import RateLimited, Retry, Snooze
from django_jobs.hooks import AsyncRunHook, DefinedJob, EnqueueHook, RunHook
from django_jobs.limits import CircuitBreaker, Concurrency, Ordering, RateLimit
from django_jobs.models import DeadLetter, Job, Queue, Worker
from django_jobs.operations import CancelResult
from django_jobs.testing import (
    DeadLetterFactory,
    JobFactory,
    assert_enqueued,
    capture_jobs,
    enqueued,
    fake_context,
    fire,
    working,
)
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


def durations_in_seconds() -> None:
    plain.using(run_after=60, expires_at=90.5, idempotency_key="k", idempotency_window=3600).enqueue(7).wait(timeout=5)
    job(backoff=5, timeout=1.5, expires=60, result_ttl=3600, every=10, jitter=1)
    job(backoff=[5, timedelta(minutes=1)], rate_limit=RateLimit(10, per=60), unique=Unique(debounce=10, max_wait=60))
    job(backoff=timedelta(seconds=5), breaker=CircuitBreaker(failures=5, within=60, open_for=30))
    schedule("poll", plain, every=10, jitter=2.5, args={"user_id": 7})
    print(Exponential(first=1, maximum=60), Linear(first=1, step=2, maximum=60), Constant(5), Retry(5), Snooze(60))


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
    with_options.using("slow")  # type: ignore[arg-type]
    with_options.delay(3)  # type: ignore[attr-defined]
    job("mail")  # type: ignore[call-overload]
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
    Unique(debounce="10")  # type: ignore[arg-type]
    Unique(on_conflict="raise")  # type: ignore[arg-type]
    limited.enqueue(7)  # type: ignore[arg-type]
    job(rate_limit=5)  # type: ignore[call-overload]
    job(rate_limit=Concurrency(3))  # type: ignore[call-overload]
    job(concurrency="3")  # type: ignore[call-overload]
    job(ordering_key=5)  # type: ignore[call-overload]
    job(breaker=5)  # type: ignore[call-overload]
    RateLimit("10")  # type: ignore[arg-type]
    RateLimit(10, per="1")  # type: ignore[arg-type]
    RateLimit(10, counts_from="middle")  # type: ignore[arg-type]
    Concurrency(3, key=["partner"])  # type: ignore[arg-type]
    Ordering()  # type: ignore[call-arg]
    CircuitBreaker(5)  # type: ignore[call-arg]
    CircuitBreaker(failures=5, within="60")  # type: ignore[arg-type]
    RateLimited()  # type: ignore[call-arg]
    Exponential(first="5")  # type: ignore[arg-type]
    Constant("5")  # type: ignore[arg-type]
    plain.using(run_after="soon")  # type: ignore[arg-type]
    plain.using(expires_at="soon")  # type: ignore[arg-type]
    plain.enqueue(7).wait(timeout="5")  # type: ignore[arg-type]
    job(max_attempts="five")  # type: ignore[call-overload]
    job(backoff="soon")  # type: ignore[arg-type]
    job(backoff=Constant(timedelta(seconds=5)), retries=3)  # type: ignore[call-overload]
    job(cron="@daily", overlap=3)  # type: ignore[call-overload]
    schedule("poll", plain, every=10, args={"count": 7}, often=True)  # type: ignore[call-arg]
    schedule("poll", plain, 10)  # type: ignore[arg-type]
    schedule("poll", print, every=10)  # type: ignore[arg-type]


class TenantHook:
    def on_enqueue(self, definition: DefinedJob) -> dict[str, str]:
        return {"tenant": "acme", "job": definition.name}

    @contextmanager
    def around(self, context: JobContext) -> Iterator[None]:
        yield

    @asynccontextmanager
    async def aaround(self, context: JobContext) -> AsyncIterator[None]:
        yield


class WrongHook:
    def on_enqueue(self, definition: DefinedJob) -> str:
        return "acme"

    def around(self, context: JobContext) -> Iterator[None]:
        yield


def hooks() -> None:
    one: EnqueueHook = TenantHook()
    two: RunHook = TenantHook()
    three: AsyncRunHook = TenantHook()
    wrong: EnqueueHook = WrongHook()  # type: ignore[assignment]
    wrong_too: RunHook = WrongHook()  # type: ignore[assignment]
    print(one.on_enqueue(plain), two, three, wrong, wrong_too)


def right_tests() -> None:
    one: Job = assert_enqueued(plain.s(7), queue_name="mail", run_after=timedelta(hours=1), count=1)
    many: list[Job] = enqueued("mail.send", arguments={"user_id": 7}, among=[one])
    with capture_jobs() as jobs, fake_context(plain, attempt=2) as context, working(timeout=5):
        context.request_cancel()
        many += jobs
    ticks: list[Job | None] = [fire("nightly").job, fire(plain).job]
    letter: DeadLetter = DeadLetterFactory.create(plain.s(7), error=OSError("refused"), priority=3)
    print(many, ticks, letter, context.progress[0].done, JobFactory.create(with_options, state="dead").pk)


def wrong_tests() -> None:
    assert_enqueued(plain.s(7), queue="mail")  # type: ignore[call-arg]
    assert_enqueued(7)  # type: ignore[arg-type]
    assert_enqueued(plain, arguments=7)  # type: ignore[arg-type]
    enqueued(plain, count=1)  # type: ignore[call-arg]
    fire(7)  # type: ignore[arg-type]
    fake_context(attempt="two")  # type: ignore[arg-type]
    working(queues=7)  # type: ignore[arg-type]
    JobFactory.create(7)  # type: ignore[arg-type]


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


@job(chunk=Chunk(500))
def in_chunks(jobs: Sequence[ChunkItem[int]]) -> None:
    number: int = jobs[0].arguments
    print(number)


def chunks() -> None:
    in_chunks.enqueue(7)
    in_chunks.enqueue("7")  # type: ignore[arg-type]
    in_chunks.enqueue()  # type: ignore[call-arg]
    in_chunks.enqueue([7])  # type: ignore[arg-type]
