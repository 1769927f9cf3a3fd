"""Jobs that are too old to be of use, under real workers."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from django_jobs.models import Expiry, Job
from tests.factories import ago
from tests.misbehaving import jobs as misbehaving
from tests.process.conftest import StartWorker
from tests.process.running import ended, wait_for_start
from tests.sampleapp import jobs as sample

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]

HOUR = timedelta(hours=1)


def _is_expired(job: Job) -> bool:
    return job.refresh().expired_at is not None and job.started_at is None and not job.attempts.exists()


@pytest.mark.parametrize("arguments", [(), ("--pool", "processes", "--concurrency", "1")])
def test_none_begins_and_the_others_run(start_worker: StartWorker, arguments: tuple[str, ...]) -> None:
    old = [one.using(expires_at=HOUR).enqueue(1) for one in (sample.echo, sample.echo_async, sample.sync)]
    Expiry.objects.update(expires_at=ago(seconds=1), check_at=None)  # only the claim is to meet it
    young = [sample.coupon.enqueue(1), sample.echo.enqueue(2)]

    worker = start_worker("--burst", *arguments)
    assert worker.wait() == 0, worker.output

    assert [job.refresh().state for job in old] == ["cancelled"] * 3
    assert all(map(_is_expired, old))
    assert [job.refresh().state for job in young] == ["succeeded"] * 2


def test_what_waits_behind_a_long_job_is_cancelled_in_time(start_worker: StartWorker, tmp_path: Path) -> None:
    long = misbehaving.wait_for_file.enqueue(str(tmp_path / "go"))
    start_worker("--concurrency", "1", "--queues", "default")
    wait_for_start(tmp_path / "go")
    blocked = sample.echo.after(long).using(expires_at=timedelta(milliseconds=500)).enqueue()
    behind = sample.echo.using(expires_at=timedelta(milliseconds=500)).enqueue()
    scheduled = sample.echo.using(run_after=HOUR, expires_at=2 * HOUR).enqueue()
    Expiry.objects.filter(job=scheduled).update(expires_at=ago(seconds=1), check_at=ago(seconds=1))

    jobs = (blocked, behind, scheduled)
    assert ended(*jobs) == ["cancelled"] * 3
    assert all(map(_is_expired, jobs))
    assert long.refresh().state == "running"
    (tmp_path / "go").touch()
    assert ended(long) == ["succeeded"]
