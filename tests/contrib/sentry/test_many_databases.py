"""What Sentry is told of jobs that have the same number in two databases."""

from __future__ import annotations

import pytest
import sentry_sdk

from django_jobs import job, schedule, schedules
from django_jobs.conf.database import use_database
from django_jobs.testing import drain
from tests.sampleapp import jobs as sample

from .conftest import Sentry
from .test_spans import facts

pytestmark = pytest.mark.usefixtures("eu_and_us")


@job(name="sentry.failing", max_attempts=1)
def fail() -> None:
    raise RuntimeError("no")


def test_check_ins_of_two_databases_are_two(reported: Sentry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedules, "_definitions", {})
    schedule("hourly", sample.do_nothing, every=3600)
    enqueued = [
        sample.do_nothing.using(
            database=alias, metadata={"schedule": "hourly", "due_at": "2026-03-01T09:30:00+00:00"}
        ).enqueue()
        for alias in ("eu", "us")
    ]
    assert enqueued[0].pk == enqueued[1].pk
    for alias in ("eu", "us"):
        with use_database(alias):
            drain()
    told = reported.of("check_in")
    assert [found["status"] for found in told] == ["in_progress", "ok"] * 2
    assert told[0]["check_in_id"] == told[1]["check_in_id"] != told[2]["check_in_id"]


def test_spans_and_events_have_the_public_id(reported: Sentry) -> None:
    with sentry_sdk.start_transaction(op="http.server", name="checkout"):
        enqueued = fail.using(database="us").enqueue()
        sample.echo.using(database="us").enqueue_many([(1,)])
    with use_database("us"):
        drain()
    found = {transaction["transaction"]: transaction for transaction in reported.of("transaction")}
    ids = [facts(span)["messaging.message.id"] for span in found["checkout"]["spans"]]
    assert ids == [f"us:{enqueued.pk}", f"us:{enqueued.pk + 1}"]
    assert facts(found["sentry.failing"]["spans"][0])["messaging.message.id"] == f"us:{enqueued.pk}"
    assert reported.of("event")[0]["contexts"]["job"]["id"] == f"us:{enqueued.pk}"
