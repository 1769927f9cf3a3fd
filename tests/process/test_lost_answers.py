"""The server did what it was told and the connection broke before its answer came: the worker makes sure."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.db import connection

from django_jobs.models import Job
from tests.concurrency import wait_until
from tests.databases import chosen_vendor
from tests.misbehaving import jobs as misbehaving
from tests.sampleapp import jobs as sample

from .conftest import StartWorker
from .proxy import Proxy
from .running import ended, outcomes, wait_for_start

pytestmark = pytest.mark.skipif(chosen_vendor() == "sqlite", reason="SQLite is a file; there is no connection")


def _statement(of_postgresql: bytes, of_mysql: bytes) -> tuple[bytes, ...]:
    """Return the words on the wire after which the verb is done: one statement, or a transaction with its end."""
    return (of_postgresql,) if connection.vendor == "postgresql" else (of_mysql, b"commit")


def test_jobs_whose_claim_was_never_answered_are_run_all_the_same(
    start_worker: StartWorker, proxy: Proxy, tmp_path: Path
) -> None:
    worker = start_worker("--concurrency", "2", HEARTBEAT_INTERVAL=0.2, STALE_AFTER=600)
    running = misbehaving.wait_for_file.enqueue(str(tmp_path / "go"))
    wait_for_start(tmp_path / "go")

    proxy.lose_answer_to(*_statement(b"claim_number = job.claim_number + 1", b"claim_number = claim_number + 1"))
    jobs = sample.echo.enqueue_many([(number,) for number in range(20)])
    wait_until(lambda: proxy.lost_answers, "a claim's answer to be lost")

    assert set(ended(*jobs)) == {"succeeded"}
    assert {tuple(outcomes(job)) for job in jobs} == {("succeeded",)}
    assert set(Job.objects.filter(pk__in=[job.pk for job in jobs]).values_list("attempt", flat=True)) == {1}
    assert running.refresh().state == "running", "what is in hand is left there"
    (tmp_path / "go").touch()
    assert (ended(running), outcomes(running)) == (["succeeded"], ["succeeded"])
    assert worker.stop() == 0
    assert "has lost claim" not in worker.output, worker.output


def test_a_finish_that_was_never_answered_is_known_to_be_saved(
    start_worker: StartWorker, proxy: Proxy, tmp_path: Path
) -> None:
    worker = start_worker("--verbosity", "2", "--concurrency", "1", HEARTBEAT_INTERVAL=0.2, STALE_AFTER=600)
    running = misbehaving.wait_for_file.enqueue(str(tmp_path / "go"), leave="done")
    wait_for_start(tmp_path / "go")

    proxy.lose_answer_to(*_statement(b"set state = 'succeeded'", b"job.state = 'succeeded'"))
    (tmp_path / "go").touch()
    wait_until(lambda: proxy.lost_answers, "a finish's answer to be lost")
    worker.wait_for_line(f"job {running.pk} .* succeeded in")

    assert (ended(running), outcomes(running)) == (["succeeded"], ["succeeded"])
    assert worker.stop() == 0
    assert "has lost claim" not in worker.output, worker.output
