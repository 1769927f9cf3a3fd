"""A real worker samples what waits and runs, and the dashboard tells from it."""

from __future__ import annotations

import json

from django_jobs.management.verbs import status
from django_jobs.models import Rollup
from django_jobs.policy.forecast import Trend
from django_jobs.store.stats.dashboard import dashboard_snapshot
from tests import factories
from tests.concurrency import wait_until
from tests.sampleapp import jobs as sample

from .conftest import StartWorker
from .running import ended


def _sampled(name: str) -> list[int | None]:
    rows = Rollup.objects.filter(span_seconds=60, queue_name=name, max_waiting__isnull=False)
    return list(rows.values_list("waiting", flat=True))


def test_workers_sample_the_backlog_of_every_queue(
    start_worker: StartWorker, worker_environment: dict[str, str]
) -> None:
    worker_environment["DJANGO_JOBS_TEST_APPS"] = "tests.sampling"
    factories.make_jobs(25, queue_name="nobody")
    workers = [start_worker("--queues", "default") for _ in range(2)]
    wait_until(lambda: _sampled("nobody"), "a sample")
    assert set(_sampled("nobody")) == {25}
    assert ended(sample.add.enqueue(1, 2)) == ["succeeded"]

    snapshot = dashboard_snapshot()
    assert {point.waiting for point in snapshot.series} & {25, 26}, "26 if a minute began while the other job was ready"
    (queue,) = [queue for queue in snapshot.queues if queue.name == "nobody"]
    assert (queue.forecast.trend, queue.forecast.waiting) == (Trend.NO_WORKER, 25)
    (row,) = [row for row in status()["queues"] if row["name"] == "nobody"]
    assert json.loads(json.dumps(row))["forecast"]["text"] == "no worker"
    assert [worker.stop() for worker in workers] == [0, 0]
