"""An idle worker is woken by what is enqueued, not by its poll."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test import override_settings

from django_jobs.models import Worker
from tests.concurrency import wait_until
from tests.private.redis import PrivateRedis
from tests.sampleapp import jobs as sample

from .conftest import StartWorker
from .running import ended


def _idle_worker(start_worker: StartWorker, **settings: float) -> None:
    """Start a worker and let it run one job, so that it is idle and listens."""
    start_worker(**settings)
    wait_until(lambda: Worker.objects.filter(state="running").exists())
    assert ended(sample.do_nothing.enqueue()) == ["succeeded"]


@pytest.mark.skipif("connection.vendor == 'mysql'", reason="MySQL and MariaDB have no notifications")
def test_an_enqueue_wakes_an_idle_worker_that_hardly_polls(start_worker: StartWorker) -> None:
    _idle_worker(start_worker, POLL_INTERVAL=600, POLL_INTERVAL_WITHOUT_NOTIFY=600)
    for _ in range(5):
        assert ended(sample.do_nothing.enqueue()) == ["succeeded"]


def test_a_delayed_job_starts_when_it_is_due(start_worker: StartWorker) -> None:
    _idle_worker(start_worker, POLL_INTERVAL=600, POLL_INTERVAL_WITHOUT_NOTIFY=0.05)
    job = sample.do_nothing.using(run_after=timedelta(seconds=0.5)).enqueue()
    assert ended(job) == ["succeeded"]
    attempt = job.attempts.get()
    assert attempt.started_at - job.enqueued_at >= timedelta(seconds=0.5)


def test_without_a_notifier_the_poll_finds_the_job(start_worker: StartWorker) -> None:
    assert connection.vendor in {"sqlite", "postgresql", "mysql"}
    _idle_worker(start_worker, NOTIFY=False, POLL_INTERVAL=0.1, POLL_INTERVAL_WITHOUT_NOTIFY=0.1)
    assert ended(sample.do_nothing.enqueue()) == ["succeeded"]


def test_an_enqueue_wakes_an_idle_worker_by_redis(start_worker: StartWorker) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite's workers hear each commit by its file")
    server = PrivateRedis()
    try:
        server.start()
        notifier = {"NOTIFIER": f"redis://127.0.0.1:{server.port}"}
        start_worker(settings=notifier, POLL_INTERVAL=600, POLL_INTERVAL_WITHOUT_NOTIFY=0.05)
        channel = f"django_jobs:{connection.settings_dict['NAME']}"
        with server.connect() as client:
            wait_until(lambda: client.pubsub_numsub(channel)[0][1] == 1)
        with override_settings(DJANGO_JOBS=notifier):
            for _ in range(5):
                assert ended(sample.do_nothing.enqueue()) == ["succeeded"]
        server.crash()
        # Nothing wakes it now, so it polls.
        assert ended(sample.do_nothing.enqueue()) == ["succeeded"]
    finally:
        server.remove()
