"""Connections that stay open while nothing comes through: noticed within a bounded time, and nothing is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from django_jobs.models import Worker
from tests.concurrency import wait_until
from tests.databases import chosen_vendor
from tests.misbehaving import jobs as misbehaving
from tests.sampleapp import jobs as sample

from .conftest import StartWorker
from .proxy import TO_CLIENT, TO_SERVER, Proxy
from .running import ended, outcomes, wait_for_start

pytestmark = pytest.mark.skipif(chosen_vendor() == "sqlite", reason="SQLite is a file; there is no connection")


@pytest.mark.parametrize("silent", [{TO_SERVER}, {TO_CLIENT}, {TO_SERVER, TO_CLIENT}], ids=["server", "client", "both"])
def test_a_worker_outlives_connections_that_have_gone_silent(
    start_worker: StartWorker, proxy: Proxy, tmp_path: Path, silent: set[str]
) -> None:
    worker = start_worker("--concurrency", "2", HEARTBEAT_INTERVAL=0.2, STALE_AFTER=1)
    running = misbehaving.wait_for_file.enqueue(str(tmp_path / "go"), leave="done")
    wait_for_start(tmp_path / "go")

    proxy.silent |= silent
    (tmp_path / "go").touch()
    worker.wait_for_line(r"the database has not answered the \w+ for 2 s; its connection is closed")
    later = sample.echo.enqueue_many([(number,) for number in range(20)])
    proxy.silent.clear()

    assert set(ended(running, *later)) == {"succeeded"}
    assert set(outcomes(running)) <= {"succeeded", "lost"}
    assert worker.stop() == 0, worker.output


@pytest.mark.skipif(chosen_vendor() != "postgresql", reason="only PostgreSQL has a connection that listens")
def test_a_notifier_that_has_gone_silent_delays_no_job_beyond_the_poll(start_worker: StartWorker, proxy: Proxy) -> None:
    start_worker(POLL_INTERVAL=0.2)
    wait_until(lambda: Worker.objects.filter(state="running").exists())
    assert ended(sample.do_nothing.enqueue()) == ["succeeded"]
    proxy.is_bell_muted = True
    for _ in range(3):
        assert ended(sample.do_nothing.enqueue()) == ["succeeded"]
    wait_until(lambda: proxy.muted_rings, "a ring that the worker does not hear")
