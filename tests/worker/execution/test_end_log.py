"""The end of a run is one record: a failure with its traceback, where the exception is alive, and the job's fields."""

from __future__ import annotations

import gc
import logging
import pickle
import time
import weakref
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import async_to_sync
from django.test import override_settings
from django.views.debug import ExceptionReporter

from django_jobs import Cancel, Discard, Retry, Snooze, job
from django_jobs.arguments.metadata import write_metadata
from django_jobs.log_records import log_job
from django_jobs.models import DeadLetter, Job
from django_jobs.policy.flags import JobFlag
from django_jobs.policy.outcomes import Interrupted, Lost, PermitsMissing, Released
from django_jobs.policy.states import State
from django_jobs.store.dialects.base.jobs import Claim
from django_jobs.store.lifecycle.end_log import log_end
from django_jobs.store.lifecycle.finish import bound_interruptions
from django_jobs.store.lifecycle.rescue import rescue
from django_jobs.worker.execution.events import LogUpdate
from django_jobs.worker.execution.log_capture import JobLogHandler
from django_jobs.worker.execution.run import aexecute, execute
from tests import factories
from tests.sampleapp.models import Customer
from tests.worker.contexts import RecordedEvents, make_context

pytestmark = pytest.mark.django_db

DUE = timedelta(seconds=5)
FIELDS = ("job_id", "job_name", "queue_name", "attempt", "request_id")


class _Refused(Exception):
    pass


def _raise(error: BaseException) -> None:
    raise error


def _hang() -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        pass


ENDS: dict[str, Callable[[], object]] = {
    "return": lambda: 7,
    "fail": lambda: int("no number"),
    "refuse": lambda: _raise(_Refused("never again")),
    "discard": lambda: _raise(Discard("no such order")),
    "cancel": lambda: _raise(Cancel("not needed")),
    "snooze": lambda: _raise(Snooze(60)),
    "retry": lambda: _raise(Retry(after=60, reason="busy")),
    "hang": _hang,
}


@job(name="tests.end_log.end", retry_on=(ValueError, Discard, Retry), timeout=0.05, queue_name="mail")
def end(how: str) -> object:
    """End in one of the ways."""
    return ENDS[how]()


@job(name="tests.end_log.end_async", retry_on=(ValueError,), queue_name="mail")
async def end_async(how: str) -> object:
    """End in one of the ways."""
    return ENDS[how]()


@job(name="tests.end_log.end_atomic", atomic=True)
def end_atomic(how: str) -> object:
    """Write, and end in one of the ways."""
    Customer.objects.create(name="written")
    return ENDS[how]()


@job(name="tests.end_log.pay", redact=("card",))
def pay(card: str, date: Any = None) -> None:
    """Fail with a secret in a variable."""
    raise ValueError("the bank is closed")


@job(name="tests.end_log.talk")
def talk() -> None:
    """Log a line, and fail."""
    logging.getLogger("shop").warning("a line of the job")
    int("no number")


def claim_of(definition: Any, how: str, **changes: Any) -> Claim:
    claim = Claim(
        job_id=7,
        claim_number=1,
        name=definition.name,
        queue_name="mail",
        priority=0,
        attempt=1,
        max_attempts=3,
        arguments=f'{{"how": "{how}"}}' if how else "{}",
        metadata='{"request_id":"f00-1"}',
        enqueued=0.0,
        ready=0.0,
        unknown_since=None,
        claimed=0.0,
    )
    return claim._replace(**changes)


class _Handler(logging.Handler):
    """What a project's handler might do."""

    def __init__(self, act: Callable[[logging.LogRecord], object]) -> None:
        super().__init__(logging.DEBUG)
        self.act = act

    def emit(self, record: logging.LogRecord) -> None:
        self.act(record)


@pytest.fixture
def handle() -> Iterator[Callable[[Callable[[logging.LogRecord], object]], None]]:
    logger, handlers, level = logging.getLogger("django_jobs"), [], logging.getLogger("django_jobs").level
    logger.setLevel(logging.DEBUG)

    def add(act: Callable[[logging.LogRecord], object]) -> None:
        handlers.append(_Handler(act))
        logger.addHandler(handlers[-1])

    yield add
    logger.setLevel(level)
    for handler in handlers:
        logger.removeHandler(handler)


@pytest.fixture
def records(handle: Any) -> list[logging.LogRecord]:
    """The records of the engine in the test."""
    found: list[logging.LogRecord] = []
    handle(found.append)
    return found


def _only(records: list[logging.LogRecord]) -> logging.LogRecord:
    (record,) = [record for record in records if record.name == "django_jobs.worker"]
    return record


@pytest.mark.parametrize(
    ("how", "changes", "level", "text"),
    [
        ("return", {}, "DEBUG", "succeeded in 0."),
        ("snooze", {}, "DEBUG", "snoozed for 0:01:00 after 0."),
        ("cancel", {}, "DEBUG", "was cancelled after 0."),
        ("return", {"flags": JobFlag.CANCEL_REQUESTED}, "DEBUG", "was cancelled before it started"),
        ("return", {"name": "nobody.knows"}, "WARNING", "is not known here: no job of this name is registered; retry"),
        ("fail", {}, "WARNING", "failed (attempt 1 of 3); retry in "),
        ("retry", {}, "WARNING", "failed (attempt 1 of 3); retry in 0:01:00: django_jobs.exceptions.Retry: busy"),
        ("hang", {}, "ERROR", "is dead (not_retryable) after 1 attempt: django_jobs.exceptions.JobTimeoutError: ran"),
        ("fail", {"attempt": 3}, "ERROR", "is dead (attempts_used_up) after 3 attempts: ValueError: invalid literal"),
        ("refuse", {}, "ERROR", "is dead (not_retryable) after 1 attempt: tests.worker.execution.test_end_log._Refu"),
        ("discard", {}, "ERROR", "is dead (discarded) after 1 attempt: django_jobs.exceptions.Discard: no such order"),
        ("return", {"arguments": "{not JSON"}, "ERROR", "is dead (unreadable) after 1 attempt: django_jobs.exceptio"),
    ],
)
def test_each_end_is_one_record_of_its_level(
    how: str, changes: dict[str, Any], level: str, text: str, records: list[logging.LogRecord]
) -> None:
    claim = claim_of(end, how, **changes)
    execute(claim, make_context(RecordedEvents()))
    record = _only(records)
    assert record.levelname == level
    assert record.getMessage().startswith(f"job 7 ({claim.name}) {text}")
    assert [getattr(record, name) for name in FIELDS] == [7, claim.name, "mail", claim.attempt, "f00-1"]
    has_raised = level != "DEBUG" and how != "return"
    assert (record.exc_info is not None) == has_raised


def _traceback_of(record: logging.LogRecord) -> str:
    assert record.exc_info is not None
    return record.exc_text or logging.Formatter().formatException(record.exc_info)  # type: ignore[arg-type]


def test_the_traceback_is_the_jobs_own(records: list[logging.LogRecord]) -> None:
    execute(claim_of(end, "fail"), make_context(RecordedEvents()))
    text = _traceback_of(_only(records))
    assert "return ENDS[how]()" in text
    assert "ValueError: invalid literal for int() with base 10: 'no number'" in text
    assert "worker/execution/run.py" not in text


@pytest.mark.parametrize(
    "arguments", ['{"card":"4929-1234"}', '{"card":"4929-1234","date":{"$type":"date","value":""}}']
)
def test_a_report_with_the_values_of_variables_shows_no_secret(
    arguments: str, records: list[logging.LogRecord]
) -> None:
    """As of ``AdminEmailHandler(include_html=True)``, and of services that collect errors."""
    execute(claim_of(pay, "", arguments=arguments), make_context(RecordedEvents()))
    record = _only(records)
    assert "4929" not in record.getMessage()
    if record.exc_info:
        report = ExceptionReporter(None, *record.exc_info).get_traceback_html()
        assert "the bank is closed" in report
        assert "4929" not in report
    assert (record.exc_info is None) == ("date" in arguments)


def test_a_timeout_is_logged_with_the_place_where_the_job_was(records: list[logging.LogRecord]) -> None:
    execute(claim_of(end, "hang"), make_context(RecordedEvents()))
    assert "in _hang" in _traceback_of(_only(records))


@pytest.mark.parametrize(("attempt", "level"), [(1, "WARNING"), (3, "ERROR")])
def test_an_async_failure_is_logged_on_its_loop(attempt: int, level: str, records: list[logging.LogRecord]) -> None:
    ended: list[Any] = []
    async_to_sync(aexecute)(claim_of(end_async, "fail", attempt=attempt), make_context(RecordedEvents()), ended.append)
    record = _only(records)
    assert (record.levelname, record.job_id) == (level, 7)  # type: ignore[attr-defined]
    assert "in end_async" in _traceback_of(record)
    assert len(ended) == 1


@pytest.mark.parametrize(("how", "written"), [("fail", 0), ("return", 1)])
def test_an_atomic_run_is_logged_once_it_is_rolled_back_or_committed(
    how: str, written: int, handle: Any, records: list[logging.LogRecord]
) -> None:
    worker, seen = factories.make_worker(), []
    handle(lambda _: seen.append(Customer.objects.count()))
    end_atomic.enqueue(how)
    (claim,) = factories.take(worker)
    execute(claim, make_context(RecordedEvents(), worker_id=worker.pk))
    assert seen == [written]
    assert (_only(records).exc_info is None) == bool(written)


def test_an_atomic_run_that_lost_its_claim_has_no_end(records: list[logging.LogRecord]) -> None:
    worker = factories.make_worker()
    end_atomic.enqueue("return")
    (claim,) = factories.take(worker)
    execute(claim._replace(claim_number=9), make_context(RecordedEvents(), worker_id=worker.pk))
    lost = [record for record in records if record.levelno >= logging.WARNING]
    assert [record.getMessage() for record in lost] == [
        f"job {claim.job_id} ({claim.name}) has lost claim 9; the outcome of this run is not saved"
    ]
    assert lost[0].job_id == claim.job_id  # type: ignore[attr-defined]


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
@pytest.mark.parametrize(("how", "state"), [("return", State.SUCCEEDED), ("fail", State.SCHEDULED)])
def test_a_handler_that_raises_changes_no_outcome(
    how: str, state: State, error: type[BaseException], handle: Any
) -> None:
    handle(lambda _: _raise(error()))
    assert execute(claim_of(end, how), make_context(RecordedEvents())).decision.state is state  # type: ignore[union-attr]


def test_a_run_leaves_its_exception_to_nobody() -> None:
    """A traceback holds all that the function had in its hands; it must not wait for the garbage collector."""

    class Held(Exception):
        pass

    held: list[weakref.ref[BaseException]] = []

    def fail() -> None:
        error = Held()
        held.append(weakref.ref(error))
        try:
            raise error
        finally:
            del error

    ENDS["held"] = fail
    gc.collect()
    gc.disable()
    logging.disable(logging.CRITICAL)
    try:
        run = execute(claim_of(end, "held"), make_context(RecordedEvents()))
        assert held[0]() is None
        pickle.dumps(run)
    finally:
        logging.disable(logging.NOTSET)
        gc.enable()
        del ENDS["held"]


def test_the_log_of_the_job_has_its_own_lines_only() -> None:
    events, root = RecordedEvents(), logging.getLogger()
    handler = JobLogHandler()
    root.addHandler(handler)
    try:
        execute(claim_of(talk, ""), make_context(events))
    finally:
        root.removeHandler(handler)
    logs = [update.lines() for update in events.updates if isinstance(update, LogUpdate)]
    assert [line.message for line in logs[-1].lines] == ["a line of the job"]


def test_a_job_cannot_forge_a_line_by_what_it_is_called_or_says(records: list[logging.LogRecord]) -> None:
    forged = "x\n12:00:00 all is well\x1b[2J"
    claim = claim_of(end, "fail", name=forged, metadata=f'{{"request_id":"{"x" * 500}\\n\\u001b[2J"}}')
    execute(claim, make_context(RecordedEvents()))
    record = _only(records)
    assert record.getMessage().isprintable()
    for name in FIELDS:
        value = getattr(record, name)
        assert isinstance(value, int) or (value.isprintable() and len(value) <= 200)


@pytest.mark.parametrize(
    ("metadata", "request_id"),
    [
        ("{}", None),
        ('{"order":7}', None),
        ('{"request_id":17}', "17"),
        (write_metadata({"request_id": UUID(int=7)}, what="metadata"), str(UUID(int=7))),
        ('{"request_id":["a"]}', None),
        ('{"request_id":null}', None),
        ('{"request_id":', None),
        ('["request_id"]', None),
    ],
)
def test_the_request_is_what_the_metadata_says(
    metadata: str, request_id: str | None, records: list[logging.LogRecord]
) -> None:
    log_end(factories.ended(claim_of(end, "", metadata=metadata), factories.failure()))
    assert _only(records).request_id == request_id  # type: ignore[attr-defined]


@override_settings(DJANGO_JOBS={"REDACT": ["request"]})
def test_a_request_id_that_is_a_secret_is_masked(records: list[logging.LogRecord]) -> None:
    log_end(factories.ended(claim_of(end, ""), factories.failure()))
    assert _only(records).request_id == "********"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("outcome", "level", "text"),
    [
        (Lost(reason="its process 12 died: SIGSEGV"), "WARNING", "was lost, and runs again: django_jobs.exceptions.Wo"),
        (Interrupted(), "WARNING", "was interrupted: the database went away under it; it runs again, and no attempt c"),
        (Interrupted(failure=factories.failure()), "WARNING", "was interrupted: the database went away under it; it r"),
        (Released(started=True), "DEBUG", "was released after 0.500 s; it runs again, and no attempt counts"),
    ],
)
def test_an_end_that_nobody_raised_has_the_fields_too(
    outcome: Any, level: str, text: str, records: list[logging.LogRecord]
) -> None:
    log_end(factories.ended(claim_of(end, ""), outcome))
    record = _only(records)
    assert record.levelname == level
    assert record.getMessage().startswith(f"job 7 (tests.end_log.end) {text}")
    assert record.exc_info is None
    assert record.request_id == "f00-1"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("deaths", "level", "text"), [(0, "WARNING", "was lost"), (9, "ERROR", "is dead (quarantined)")]
)
def test_a_job_of_a_lost_worker_is_logged_where_it_is_rescued(
    deaths: int, level: str, text: str, records: list[logging.LogRecord]
) -> None:
    worker = factories.make_worker(state="lost")
    lost = factories.make_job(
        State.RUNNING, worker=worker, worker_deaths=deaths, metadata={"request_id": "f00-2"}, attempt=1
    )
    assert rescue(rules=factories.RULES) == 1
    record = _only(records)
    assert (record.levelname, record.getMessage().partition(") ")[2].startswith(text)) == (level, True)
    assert [getattr(record, name) for name in FIELDS] == [lost.pk, "sample", "default", 1, "f00-2"]
    assert DeadLetter.objects.exists() == (level == "ERROR")


@pytest.mark.parametrize("outcome", [Released(started=False), PermitsMissing(needs=())])
def test_a_job_that_is_given_back_before_its_start_is_no_line(outcome: Any, records: list[logging.LogRecord]) -> None:
    log_end(factories.ended(claim_of(end, ""), outcome))
    assert records == []


def test_a_job_that_was_interrupted_too_often_is_logged_as_dead(records: list[logging.LogRecord]) -> None:
    worker = factories.make_worker()
    factories.make_job()
    (claim,) = factories.take(worker)
    job_row = Job.objects.get()
    for number in range(10):
        factories.make_attempt(job_row, claim_number=100 + number, outcome="released", error_class="OperationalError")
    bound_interruptions([factories.ended(claim, Interrupted(failure=factories.failure(retry_in=None)))])
    assert _only(records).levelname == "ERROR"


class _NotAsked:
    """A job of which nothing may be read."""

    def __getattribute__(self, name: str) -> Any:
        raise AssertionError(name)


def test_a_record_that_nobody_wants_costs_nothing() -> None:
    logger = logging.getLogger("django_jobs.worker")
    logging.disable(logging.ERROR)
    try:
        log_job(logger, logging.ERROR, _NotAsked(), "succeeded")  # type: ignore[arg-type]
    finally:
        logging.disable(logging.NOTSET)


def test_a_row_read_without_its_metadata_is_not_read_again(
    records: list[logging.LogRecord], django_assert_num_queries: Any
) -> None:
    factories.make_job(metadata={"request_id": "f00-3"})
    logger, deferred, whole = (
        logging.getLogger("django_jobs.worker"),
        Job.objects.defer("metadata").get(),
        Job.objects.get(),
    )
    with django_assert_num_queries(0):
        log_job(logger, logging.ERROR, deferred, "is here")
        log_job(logger, logging.ERROR, whole, "is here")
    assert [record.request_id for record in records] == [None, "f00-3"]  # type: ignore[attr-defined]
