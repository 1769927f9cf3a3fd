"""Hooks around a run: what they see, what they may do, and what they cannot."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext, suppress
from contextvars import ContextVar
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import translation

from django_jobs import Cancel, Discard, Retry, Snooze, current_job, job
from django_jobs.context import JobContext
from django_jobs.models import Job
from django_jobs.testing import drain
from django_jobs.worker.execution.run import aexecute, execute
from tests import factories
from tests.sampleapp.models import Customer
from tests.worker.contexts import RecordedEvents, make_context

pytestmark = pytest.mark.django_db

seen: list[str] = []
behaviour: dict[str, Callable[[], object]] = {}
language: ContextVar[str] = ContextVar("language", default="none")


@job(name="around.plain", max_attempts=2, timeout=60)
def plain() -> Any:
    seen.append("function")
    return behaviour["function"]()


@job(name="around.atomic", atomic=True, max_attempts=2)
def atomic() -> Any:
    seen.append("function")
    return behaviour["function"]()


@job(name="around.awaited", max_attempts=2, timeout=60)
async def awaited() -> Any:
    seen.append("function")
    await asyncio.sleep(0)
    return behaviour["function"]()


@job(name="around.short", timeout=timedelta(seconds=0.5))
def short() -> Any:
    seen.append("function")
    return behaviour["function"]()


@job(name="around.short_async", timeout=timedelta(seconds=0.5))
async def short_async() -> Any:
    seen.append("function")
    behaviour["function"]()
    await asyncio.Event().wait()


@job(name="around.endless")
async def endless() -> Any:
    behaviour["function"]()
    await asyncio.Event().wait()


JOBS = pytest.mark.parametrize("definition", [plain, atomic, awaited], ids=["plain", "atomic", "async"])


class Outer:
    @contextmanager
    def around(self, context: JobContext) -> Iterator[None]:
        seen.append("outer begins")
        try:
            yield
        except BaseException as error:
            seen.append(f"outer sees {type(error).__name__}")
            raise
        seen.append("outer ends")


class Inner:
    def around(self, context: JobContext) -> Any:
        assert current_job() is context
        seen.append(f"inner of {context.name}, attempt {context.attempt}")
        return self

    def __enter__(self) -> None:
        language.set("de")
        translation.activate("de")

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        seen.append(f"inner ends with {type(error).__name__}")


class Awaiting(Outer):
    @asynccontextmanager
    async def aaround(self, context: JobContext) -> AsyncIterator[None]:
        await asyncio.sleep(0)
        language.set("fr")
        try:
            yield
        except BaseException as error:
            await asyncio.sleep(0)
            seen.append(f"awaiting sees {type(error).__name__}")
            raise
        await asyncio.sleep(0)
        seen.append("awaiting ends")


class Odd:
    """Do what ``behaviour`` says: "around" makes the manager."""

    def around(self, context: JobContext) -> Any:
        return behaviour["around"]()


class OddAsync(Odd):
    def aaround(self, context: JobContext) -> Any:
        return behaviour["around"]()


@pytest.fixture(autouse=True)
def _empty() -> None:
    seen.clear()
    behaviour.clear()
    behaviour["function"] = lambda: None


@pytest.fixture
def use(settings: Any) -> Callable[..., None]:
    def name(*hooks: type) -> None:
        settings.DJANGO_JOBS = {"HOOKS": [f"{__name__}.{hook.__name__}" for hook in hooks]}

    return name


def raising(error: BaseException | type[BaseException]) -> Callable[[], object]:
    def fail() -> None:
        raise error

    return fail


def run(definition: Any) -> Job:
    one: Job = definition.enqueue()
    drain()
    return one.refresh()


@JOBS
def test_hooks_are_entered_in_the_order_of_the_setting_around_the_function(use: Any, definition: Any) -> None:
    use(Outer, Inner)
    behaviour["function"] = lambda: [language.get(), translation.get_language()]
    done = run(definition)
    assert done.result == ["de", "de"]
    assert seen == [
        "outer begins",
        f"inner of {definition.name}, attempt 1",
        "function",
        "inner ends with NoneType",
        "outer ends",
    ]
    assert language.get() == "none"


def test_what_a_hook_awaits_is_in_the_task_of_the_function(use: Any) -> None:
    use(Awaiting, Inner)
    behaviour["function"] = language.get
    assert run(awaited).result == "de"
    assert seen == ["inner of around.awaited, attempt 1", "function", "inner ends with NoneType", "awaiting ends"]
    use(Inner, Awaiting)
    assert run(awaited).result == "fr"
    assert run(plain).result == "de"


@JOBS
@pytest.mark.parametrize(
    ("error", "state", "outcome"),
    [
        (ValueError("no"), "scheduled", "failed"),
        (Retry(after=5), "scheduled", "retried"),
        (Snooze(5), "scheduled", "snoozed"),
        (Discard("no"), "dead", "discarded"),
        (Cancel("no"), "cancelled", "cancelled"),
        (SystemExit(3), "scheduled", "failed"),
        (GeneratorExit(), "scheduled", "failed"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_hooks_see_every_exception_which_counts_as_without_them(
    use: Any, definition: Any, error: BaseException, state: str, outcome: str
) -> None:
    use(Outer, Inner)
    behaviour["function"] = raising(error)
    ended = run(definition)
    assert (ended.state, ended.attempts.get().outcome) == (state, outcome)
    assert seen[-2:] == [f"inner ends with {type(error).__name__}", f"outer sees {type(error).__name__}"]


@JOBS
def test_the_traceback_is_that_of_the_function(use: Any, definition: Any) -> None:
    use(Outer, Inner)
    behaviour["function"] = raising(ValueError("no"))
    traceback = run(definition).attempts.get().traceback
    assert traceback.count('File "') == 2  # the function, and what it calls


@JOBS
def test_an_exception_that_a_hook_raises_in_place_of_another_counts(use: Any, definition: Any) -> None:
    @contextmanager
    def translate() -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            raise Discard("the tenant is gone") from error

    use(Outer, Odd)
    behaviour.update(function=raising(ValueError("no")), around=translate)
    dead = run(definition)
    assert (dead.state, dead.attempts.get().error_message) == ("dead", "the tenant is gone")
    assert seen[-1] == "outer sees Discard"


@JOBS
def test_an_exception_that_a_hook_swallows_counts_all_the_same(
    use: Any, definition: Any, caplog: pytest.LogCaptureFixture
) -> None:
    use(Outer, Odd)
    behaviour.update(function=raising(ValueError("no")), around=lambda: suppress(BaseException))
    with caplog.at_level(logging.WARNING, "django_jobs.worker"):
        assert run(definition).state == "scheduled"
    assert f"failed all the same: hook {__name__}.Odd suppressed the exception ValueError;" in caplog.text
    assert seen[-1] == "outer sees ValueError"


@contextmanager
def never_yields() -> Iterator[None]:
    if behaviour["function"] is None:
        yield


@contextmanager
def yields_twice() -> Iterator[None]:
    yield
    yield


@contextmanager
def fails_at_its_end() -> Iterator[None]:
    yield
    raise LookupError("no tenant")


FAILING = {
    "raises": (raising(LookupError("no tenant")), "LookupError", "no tenant"),
    "raises SystemExit": (raising(SystemExit("no tenant")), "SystemExit", "no tenant"),
    "returns nothing": (lambda: None, "ConfigurationError", "it returned a value of type NoneType"),
    "returns a generator": (lambda: (1 for _ in "x"), "ConfigurationError", "it returned a value of type generator"),
    "never yields": (never_yields, "RuntimeError", "generator didn't yield"),
}


@JOBS
@pytest.mark.parametrize("kind", FAILING)
def test_a_hook_that_fails_on_entering_fails_the_attempt(use: Any, definition: Any, kind: str) -> None:
    around, name, message = FAILING[kind]
    use(Outer, Odd, Inner)
    behaviour["around"] = around
    failed = run(definition)
    attempt = failed.attempts.get()
    assert (failed.state, failed.attempt, attempt.outcome) == ("scheduled", 1, "failed")
    assert attempt.error_class.endswith(name)
    assert message in attempt.error_message
    assert seen == ["outer begins", f"outer sees {name}"]
    behaviour["around"] = nullcontext
    drain(run_scheduled=True)
    assert failed.refresh().state == "succeeded"


@JOBS
@pytest.mark.parametrize(("around", "message"), [(yields_twice, "didn't stop"), (fails_at_its_end, "no tenant")])
def test_a_hook_that_fails_at_its_end_fails_the_attempt(use: Any, definition: Any, around: Any, message: str) -> None:
    use(Outer, Odd)
    behaviour["around"] = around
    failed = run(definition)
    assert (failed.state, failed.result) == ("scheduled", None)
    assert message in failed.attempts.get().error_message


def test_an_asynchronous_manager_is_refused_where_it_is_of_no_use(use: Any) -> None:
    @asynccontextmanager
    async def manage() -> AsyncIterator[None]:
        yield

    use(OddAsync)
    behaviour["around"] = manage
    assert "OddAsync.around: expected a plain function that returns a context manager" in str(run(plain).error)
    assert run(awaited).state == "succeeded"
    behaviour["around"] = suppress
    assert "OddAsync.aaround: expected a plain function that returns an asynchronous" in str(run(awaited).error)


def test_hooks_of_an_atomic_job_are_in_its_transaction(use: Any) -> None:
    @contextmanager
    def write() -> Iterator[None]:
        assert transaction.get_connection().in_atomic_block
        Customer.objects.create(name="hook")
        yield

    use(Odd)
    behaviour.update(around=write, function=raising(ValueError("no")))
    assert run(atomic).state == "scheduled"
    assert not Customer.objects.exists()
    behaviour["function"] = lambda: None
    drain(run_scheduled=True)
    assert Customer.objects.count() == 1


def test_a_timeout_reaches_the_hooks(use: Any) -> None:
    use(Outer, Inner)
    behaviour["function"] = sleep_for_long
    assert run(short).attempts.get().error_class.endswith("JobTimeoutError")
    assert seen[-1] == "outer sees JobTimeoutError"
    use(Awaiting, Inner)
    behaviour["function"] = list
    assert run(short_async).attempts.get().error_class.endswith("JobTimeoutError")
    assert seen[-2:] == ["inner ends with JobTimeoutError", "awaiting sees JobTimeoutError"]


@pytest.mark.parametrize("definition", [short, short_async], ids=["plain", "async"])
def test_a_hook_that_hangs_is_within_the_time_limit(use: Any, definition: Any) -> None:
    @contextmanager
    def hang() -> Iterator[None]:
        sleep_for_long()
        yield

    class Hanging:
        async def __aenter__(self) -> None:
            await asyncio.Event().wait()

        async def __aexit__(self, *_: object) -> None: ...

    use(Outer, OddAsync)
    behaviour["around"] = hang if definition is short else Hanging
    attempt = run(definition).attempts.get()
    assert attempt.error_class.endswith("JobTimeoutError")
    assert "function" not in seen


def test_a_request_to_cancel_reaches_the_hooks_of_a_task(use: Any) -> None:
    use(Outer, Awaiting, Inner)
    worker = factories.make_worker()
    endless.enqueue()
    (claim,) = factories.take(worker)
    context = make_context(RecordedEvents(), worker_id=worker.pk)
    ended: list[Any] = []

    async def cancel_when_it_runs() -> None:
        started = asyncio.Event()
        behaviour["function"] = started.set
        task = asyncio.create_task(aexecute(claim, context, ended.append))
        await started.wait()
        assert context.interrupts.interrupt_task(claim)
        await task

    asyncio.run(cancel_when_it_runs())
    assert ended[0].decision.state == "cancelled"
    assert seen[-3:] == ["inner ends with Cancel", "awaiting sees Cancel", "outer sees Cancel"]


def test_a_run_that_is_not_called_has_no_hooks(use: Any) -> None:
    use(Outer)
    worker = factories.make_worker()
    plain.enqueue()
    (claim,) = factories.take(worker)
    execute(claim._replace(arguments="{not JSON"), make_context(RecordedEvents(), worker_id=worker.pk))
    assert seen == []


def sleep_for_long() -> None:
    """Wait where an asynchronous exception arrives."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        threading.Event().wait(0.01)
