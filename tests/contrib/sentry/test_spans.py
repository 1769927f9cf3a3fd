"""The spans of enqueues and runs, as Sentry's queue monitoring reads them."""

from __future__ import annotations

from typing import Any

import pytest
import sentry_sdk

from django_jobs import chain, job
from django_jobs.testing import drain
from tests.sampleapp import jobs as sample

from .conftest import Sentry

pytestmark = pytest.mark.django_db


@job(name="sentry.parent", queue_name="mails")
def enqueue_child() -> None:
    sample.do_nothing.enqueue()


def test_a_run_goes_on_with_the_trace_of_its_enqueue(reported: Sentry) -> None:
    with sentry_sdk.start_transaction(op="http.server", name="checkout"):
        enqueued = enqueue_child.enqueue()
        many = sample.echo.enqueue_many([(1,), (2,)])
    assert drain().succeeded == 4
    found = {transaction["transaction"]: transaction for transaction in reported.of("transaction")}
    checkout, run = found["checkout"], found["sentry.parent"]
    publish, batch = checkout["spans"]
    assert (publish["op"], publish["description"], publish["origin"]) == (
        "queue.publish", "sentry.parent", "auto.queue.django_jobs",
    )  # fmt: skip
    assert facts(publish) == {
        "messaging.system": "django_jobs",
        "messaging.destination.name": "mails",
        "messaging.message.id": str(enqueued.pk),
    }
    assert facts(batch)["messaging.batch.message_count"] == len(many) == 2
    trace = run["contexts"]["trace"]
    assert (run["transaction"], trace["op"], trace["status"]) == ("sentry.parent", "queue.task.django_jobs", "ok")
    assert trace["trace_id"] == checkout["contexts"]["trace"]["trace_id"]
    assert trace["parent_span_id"] == publish["span_id"]
    process, nested = run["spans"]
    assert (process["op"], process["parent_span_id"]) == ("queue.process", trace["span_id"])
    told = facts(process)
    assert told.pop("messaging.message.receive.latency") >= 0
    assert told == {
        "messaging.system": "django_jobs",
        "messaging.destination.name": "mails",
        "messaging.message.id": str(enqueued.pk),
        "messaging.message.retry.count": 0,
    }
    assert (nested["op"], nested["parent_span_id"]) == ("queue.publish", process["span_id"])
    traces = {transaction["contexts"]["trace"]["trace_id"] for transaction in reported.of("transaction")}
    assert traces == {trace["trace_id"]}


def facts(span: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in span["data"].items() if key.startswith("messaging.")}


def test_each_attempt_is_a_transaction_with_its_number(reported: Sentry) -> None:
    sample.fail.enqueue()
    drain()
    counts = [facts(found["spans"][0])["messaging.message.retry.count"] for found in reported.of("transaction")]
    assert counts == [0, 1]
    assert {found["contexts"]["trace"]["status"] for found in reported.of("transaction")} == {"internal_error"}


def test_a_chain_of_several_queues_names_none(reported: Sentry) -> None:
    with sentry_sdk.start_transaction(name="checkout"):
        chain(sample.echo.s(1), enqueue_child.s().without_result()).enqueue()
    (publish,) = reported.of("transaction")[0]["spans"]
    assert facts(publish) == {"messaging.system": "django_jobs", "messaging.batch.message_count": 2}


def test_a_failed_enqueue_is_an_error(reported: Sentry) -> None:
    with sentry_sdk.start_transaction(name="checkout"), pytest.raises(Exception, match="expected a job without a key"):
        sample.sync.enqueue_stream([(1,)])
    assert reported.of("transaction")[0]["spans"][0]["status"] == "internal_error"


def test_without_tracing_errors_still_share_the_trace_of_the_enqueue(sentry: Sentry) -> None:
    sentry.init(traces_sample_rate=0.0)
    metadata = sample.fail.enqueue().metadata
    drain()
    (event,) = sentry.of("event")
    assert event["contexts"]["trace"]["trace_id"] == metadata["sentry"]["sentry-trace"].split("-")[0]


def test_a_job_enqueued_without_sentry_runs_with_it(sentry: Sentry) -> None:
    sample.echo.using(metadata={"sentry": "mine"}).enqueue(1)
    sample.echo.enqueue(2)
    sentry.init()
    assert drain().succeeded == 2
    assert len(sentry.of("transaction")) == 2


def test_streamed_spans_have_the_same_values(sentry: Sentry) -> None:
    sentry.init(options={"trace_lifecycle": "stream"})
    enqueue_child.enqueue()
    assert drain().succeeded == 2
    sentry_sdk.flush()
    spans = {item["name"]: item for batch in sentry.of("span") for item in batch["items"]}
    ops = {item["attributes"]["sentry.op"]["value"] for batch in sentry.of("span") for item in batch["items"]}
    assert "sentry.parent" in spans
    assert {"queue.task.django_jobs", "queue.process", "queue.publish"} <= ops
