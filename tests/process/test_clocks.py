"""Hosts whose clocks are an hour wrong, either way: the database's clock is the only one that counts."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from django_jobs.models import Attempt, Job, Worker
from django_jobs.store.clock import database_now
from tests.concurrency import wait_until
from tests.databases import ROOT, chosen_vendor
from tests.misbehaving import jobs as misbehaving
from tests.required import is_missing
from tests.sampleapp import jobs as sample

from .conftest import StartWorker
from .running import ended

pytestmark = pytest.mark.skipif(
    chosen_vendor() == "sqlite", reason="SQLite's clock is its host's, and so are all workers"
)
STALE_AFTER = 20
"""An hour would be beyond it either way; a busy host's pause is not."""


def _with_clock(wrong: str) -> tuple[str, ...]:
    """Return the program that starts another with a clock so wrong; its monotonic clock is left alone."""
    library = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)
    if library is None:
        is_missing("libfaketime (Debian: faketime)")
    return (
        "env",
        f"LD_PRELOAD={library}",
        f"FAKETIME={wrong}",
        "FAKETIME_DONT_FAKE_MONOTONIC=1",
        # A mend for an old glibc; with a new one threads' timed waits took up to four times as long (measured).
        "FAKETIME_FORCE_MONOTONIC_FIX=0",
    )


def test_workers_hours_apart_rescue_nobody_and_run_nothing_early(start_worker: StartWorker) -> None:
    workers = [
        start_worker("--queues", queue, before=_with_clock(wrong), HEARTBEAT_INTERVAL=0.2, STALE_AFTER=STALE_AFTER)
        for queue, wrong in (("ahead", "+1h"), ("behind", "-1h"))
    ]
    wait_until(lambda: Worker.objects.filter(state="running").count() == 2)
    began = database_now()
    beats = set(Worker.objects.values_list("pk", "heartbeat_at"))
    jobs: list[Job] = []
    for queue, wrong_by in (("ahead", 3600), ("behind", -3600)):
        told = misbehaving.tell_time.using(queue_name=queue).enqueue()
        assert ended(told) == ["succeeded"]
        assert abs(told.refresh().result - database_now().timestamp() - wrong_by) < 60, "the clock is not wrong"
        due = sample.do_nothing.using(queue_name=queue, run_after=timedelta(seconds=2)).enqueue()
        retried = misbehaving.retry_soon.using(queue_name=queue).enqueue()
        jobs += [due, retried, *sample.echo.using(queue_name=queue).enqueue_many([(at,) for at in range(50)])]

        assert set(ended(*jobs)) == {"succeeded"}

        assert due.attempts.get().started_at >= due.enqueued_at + timedelta(seconds=2)
        first, second = retried.attempts.order_by("claim_number")
        assert second.started_at - first.finished_at >= timedelta(seconds=0.2)
    wait_until(lambda: not beats & set(Worker.objects.values_list("pk", "heartbeat_at")), "both to go on beating")

    over = database_now()
    assert not Attempt.objects.filter(outcome="lost").exists()
    assert set(Worker.objects.values_list("state", flat=True)) == {"running"}
    slack = timedelta(seconds=0.5)
    for attempt in Attempt.objects.all():
        assert began - slack <= attempt.started_at <= attempt.finished_at <= over + slack
    assert not Job.objects.filter(finished_at__gt=over + slack).exists()
    assert [worker.stop() for worker in workers] == [0, 0]


@pytest.mark.parametrize(("wrong", "said"), [("+1h", "60 min ahead of"), ("-1h", "60 min behind")])
def test_the_doctor_names_a_clock_that_differs_from_the_databases(
    worker_environment: dict[str, str], wrong: str, said: str
) -> None:
    done = subprocess.run(
        [*_with_clock(wrong), sys.executable, "-m", "django", "jobs", "doctor", "--json"],
        env=worker_environment,
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    (found,) = [one for one in json.loads(done.stdout) if one["about"] == "clock"]
    assert found["what"] == f"this host's clock is {said} the database's"
    assert "NTP" in found["advice"]
