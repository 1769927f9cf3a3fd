"""Real workers report to an endpoint that takes envelopes as Sentry's does, before their processes end."""

from __future__ import annotations

import pytest

from tests.concurrency import wait_until
from tests.contrib.sentry.endpoint import endpoint
from tests.contrib.sentry.reporting import DSN
from tests.process.conftest import StartWorker
from tests.process.running import ended
from tests.sampleapp import jobs as sample

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("options", [(), ("--pool", "processes")], ids=["threads", "job processes"])
def test_errors_and_transactions_of_a_worker_arrive(
    start_worker: StartWorker, worker_environment: dict[str, str], options: tuple[str, ...]
) -> None:
    with endpoint() as received:
        worker_environment |= {"DJANGO_JOBS_TEST_APPS": "tests.contrib.sentry.reporting", DSN: received.dsn}
        failed, done = sample.fail.using(max_attempts=1).enqueue("it broke"), sample.enqueue_another.enqueue(1)
        worker = start_worker(*options, "--burst")
        assert worker.wait() == 0, worker.output
        wait_until(lambda: len(received.of("transaction")) == 3, "the transactions to arrive")
    assert ended(failed, done) == ["dead", "succeeded"]
    (event,) = received.of("event")
    (error,) = event["exception"]["values"]
    assert (error["type"], error["value"]) == ("RuntimeError", "it broke")
    assert event["contexts"]["job"]["id"] == failed.pk
    transactions = {found["spans"][0]["data"]["messaging.message.id"]: found for found in received.of("transaction")}
    assert event["contexts"]["trace"]["trace_id"] == transactions[str(failed.pk)]["contexts"]["trace"]["trace_id"]
    process, publish = transactions[str(done.pk)]["spans"][:2]
    assert (process["op"], publish["op"]) == ("queue.process", "queue.publish")
    child = transactions[publish["data"]["messaging.message.id"]]
    assert child["contexts"]["trace"]["parent_span_id"] == publish["span_id"]
