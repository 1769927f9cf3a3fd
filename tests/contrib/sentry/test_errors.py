"""Which errors of jobs are reported, with what, and without what."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import sentry_sdk

from django_jobs import Cancel, Chunk, Discard, Retry, Snooze, job
from django_jobs.arguments.serialization import TAG
from django_jobs.backoff import Constant
from django_jobs.models import Job
from django_jobs.testing import drain
from tests.sampleapp import jobs as sample
from tests.worker.executors.running import run_in_turn

from .conftest import Sentry

pytestmark = pytest.mark.django_db
CARD, PHRASE = "4111-1111-1111-1111", "correct horse"
asked: dict[str, Callable[[], BaseException]] = {}


@job(name="sentry.raise", max_attempts=2, backoff=Constant(timedelta(0)), retry_on=(RuntimeError,), queue_name="mails")
def raise_asked(subject: str = "") -> None:
    error = asked["error"]()
    raise error


@job(name="sentry.raise_async", max_attempts=1)
async def raise_async() -> None:
    await asyncio.sleep(0)
    error = asked["error"]()
    raise error


@job(name="sentry.charge", max_attempts=1, redact=("card",))
def charge(card: str, account: dict[str, Any], amount: int) -> None:
    digits = card.replace("-", "")
    logging.getLogger("shop").warning("charging %s", card)
    pay(digits, account)


def pay(digits: str, account: dict[str, Any]) -> None:
    raise RuntimeError(f"cannot charge {account['password']}, said the bank")


@job(name="sentry.chunk", chunk=Chunk(10), max_attempts=1)
def fail_all(jobs: Any) -> None:
    error = asked["error"]()
    raise error


def values(event: dict[str, Any]) -> list[tuple[str, str]]:
    return [(value["type"], value["value"]) for value in event["exception"]["values"]]


def test_only_the_last_attempt_is_reported_once(reported: Sentry) -> None:
    asked["error"] = lambda: RuntimeError("it broke")
    enqueued = raise_asked.enqueue("hello")
    assert len(drain().errors) == 2
    (event,) = reported.of("event")
    assert values(event) == [("RuntimeError", "it broke")]
    assert event["exception"]["values"][0]["mechanism"] == {"type": "django_jobs", "handled": False}
    assert event["transaction"] == "sentry.raise"
    assert event["tags"] == {"job": "sentry.raise", "queue": "mails"}
    assert event["contexts"]["job"] == {
        "id": enqueued.pk,
        "name": "sentry.raise",
        "queue_name": "mails",
        "priority": 0,
        "attempt": 2,
        "max_attempts": 2,
        "enqueued_at": enqueued.enqueued_at.isoformat(),
    }
    frames = event["exception"]["values"][0]["stacktrace"]["frames"]
    assert [frame["function"] for frame in frames] == ["raise_asked"]
    assert frames[0]["vars"]["subject"] == "'hello'"


def test_each_attempt_is_reported_by_option(sentry: Sentry) -> None:
    sentry.init(report_all_attempts=True)
    asked["error"] = lambda: RuntimeError("it broke")
    raise_asked.enqueue()
    drain()
    assert [event["contexts"]["job"]["attempt"] for event in sentry.of("event")] == [1, 2]


@pytest.mark.parametrize(
    ("error", "is_reported", "status"),
    [
        (Snooze(timedelta(hours=1)), False, "ok"),
        (Cancel("enough"), False, "ok"),
        (Retry(timedelta(hours=1)), False, "internal_error"),
        (Discard("no use"), True, "internal_error"),
        (ValueError("not in retry_on"), True, "internal_error"),
        (SystemExit(3), True, "internal_error"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_reported_is_what_makes_a_job_dead(
    reported: Sentry, error: BaseException, is_reported: bool, status: str
) -> None:
    asked["error"] = lambda: error
    raise_asked.enqueue()
    drain()
    assert [values(event)[0][0] for event in reported.of("event")] == [type(error).__name__] * is_reported
    (transaction,) = reported.of("transaction")
    assert transaction["contexts"]["trace"]["status"] == status


@pytest.mark.django_db(transaction=True)
def test_async_jobs_are_reported_from_the_event_loop(reported: Sentry) -> None:
    asked["error"] = lambda: RuntimeError("in the loop")
    raise_async.enqueue()
    run_in_turn(Job.objects.get())
    (event,) = reported.of("event")
    assert values(event) == [("RuntimeError", "in the loop")]
    assert event["tags"]["job"] == "sentry.raise_async"


def test_nothing_of_a_redacted_argument_is_sent(sentry: Sentry) -> None:
    sentry.init(options={"data_collection": {"queues": True}})
    charge.enqueue(CARD, {"password": PHRASE, "name": "Ada"}, 70)
    assert drain().dead == 1
    (event,) = sentry.of("event")
    assert values(event) == [("RuntimeError", "cannot charge [Filtered], said the bank")]
    assert event["contexts"]["job"]["arguments"] == {
        "card": "********", "account": {"password": "********", "name": "Ada"}, "amount": 70,
    }  # fmt: skip
    assert [crumb["message"] for crumb in event["breadcrumbs"]["values"]] == ["charging [Filtered]"]
    assert not any("vars" in frame for frame in event["exception"]["values"][0]["stacktrace"]["frames"])
    for secret in (CARD, CARD.replace("-", ""), PHRASE):
        assert secret not in sentry.text


def test_arguments_are_sent_only_as_personal_data(sentry: Sentry) -> None:
    sentry.init(options={"data_collection": {"queues": True}, "include_local_variables": False})
    asked["error"] = lambda: ValueError("it broke")
    raise_asked.enqueue("hello")
    drain()
    assert sentry.of("event")[0]["contexts"]["job"]["arguments"] == {"subject": "hello"}


def test_a_chunk_is_reported_once_for_all(reported: Sentry) -> None:
    asked["error"] = lambda: RuntimeError("all of them")
    fail_all.enqueue_many([(1,), (2,), (3,)])
    assert drain().dead == 3
    (event,) = reported.of("event")
    assert event["contexts"]["job"]["jobs_in_chunk"] == 3


def test_what_never_ran_is_reported_by_its_log_record(reported: Sentry) -> None:
    enqueued = sample.charge.enqueue(CARD)
    Job.objects.filter(pk=enqueued.pk).update(arguments={"card": {TAG: "unheard-of", "value": CARD}})
    assert drain().dead == 1
    (event,) = reported.of("event")
    assert event["logger"] == "django_jobs.worker"
    assert CARD not in reported.text


def test_without_the_integration_nothing_is_reported(sentry: Sentry) -> None:
    sentry.init()
    sentry_sdk.get_global_scope().set_client(None)
    asked["error"] = lambda: ValueError("it broke")
    assert raise_asked.enqueue().metadata == {}
    assert drain().dead == 1
    assert sentry.text == "[]"
