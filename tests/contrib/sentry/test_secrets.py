"""No spelling of a masked value is sent, by whichever way: events, logs, spans that are sent one by one."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest
import sentry_sdk

from django_jobs import job
from django_jobs.models import Job
from django_jobs.testing import drain
from tests.worker.executors.running import run_in_turn

from .conftest import Sentry

pytestmark = pytest.mark.django_db
shop = logging.getLogger("shop")


@job(name="sentry.unlock", max_attempts=1, redact=("secret",))
def unlock(secret: Any) -> None:
    sentry_sdk.set_extra("given", secret)
    shop.warning("as JSON %s", json.dumps([secret]))
    raise KeyError(secret)


@job(name="sentry.fetch", max_attempts=1, redact=("token",))
def fetch(token: str) -> None:
    from sentry_sdk import traces

    with traces.start_span(f"GET /?token={token}", attributes={"url": token}):
        shop.warning("fetching %s", token)


@job(name="sentry.fetch_async", max_attempts=1, redact=("token",))
async def fetch_async(token: str) -> None:
    await asyncio.sleep(0)
    shop.warning("fetching %s", token)


@job(name="sentry.fetch_openly", max_attempts=1)
def fetch_openly(path: str) -> None:
    shop.warning("fetching %s", path)


@pytest.mark.parametrize(
    "secret",
    ["p\"a'ss\\phrase", "pass\nphrase", "pässphrase", 4111111111111111],
    ids=["quotes", "line", "accent", "number"],
)
def test_other_spellings_of_a_masked_value_are_masked(reported: Sentry, secret: str | int) -> None:
    unlock.enqueue(secret)
    assert drain().dead == 1
    (event,) = reported.of("event")
    (error,) = event["exception"]["values"]
    assert error["value"].strip("'\"") == "[Filtered]"
    assert event["extra"]["given"].strip("'\"") == "[Filtered]"
    assert "4111" not in reported.text
    assert "phrase" not in reported.text


def test_logs_and_streamed_spans_have_no_masked_value(sentry: Sentry) -> None:
    kept: list[str] = []

    def before_send_log(log: Any, hint: Any) -> Any:
        kept.append(log["body"])
        return log

    sentry.init(options={"enable_logs": True, "trace_lifecycle": "stream", "before_send_log": before_send_log})
    fetch.enqueue("hush-hush")
    assert drain().succeeded == 1
    fetch_async.enqueue("hush-hush")
    run_in_turn(Job.objects.get(name=fetch_async.name))
    fetch_openly.enqueue("hush-hush, but not masked here")
    assert drain().succeeded == 1
    sentry_sdk.flush()
    spans = [item["name"] for batch in sentry.of("span") for item in batch["items"]]
    logs = [item["body"] for batch in sentry.of("log") for item in batch["items"]]
    assert "GET /?token=[Filtered]" in spans
    openly = "fetching hush-hush, but not masked here"
    assert [body for body in logs if body.startswith("fetching")] == ["fetching [Filtered]"] * 2 + [openly]
    assert [body for body in kept if body.startswith("fetching")] == ["fetching [Filtered]"] * 2 + [openly]
    assert sentry.text.count("hush-hush") == sentry.text.count("hush-hush, but not masked here")


def test_a_record_of_the_worker_tells_nothing_of_other_jobs(reported: Sentry) -> None:
    shop.warning("a breadcrumb of whatever this thread has done")
    logging.getLogger("django_jobs.worker").error("a job was lost")
    (event,) = reported.of("event")
    assert event["logentry"]["message"] == "a job was lost"
    assert "breadcrumbs" not in event
