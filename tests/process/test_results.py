"""Large results of real workers: every pool and executor writes them, maintenance clears them away."""

from __future__ import annotations

from pathlib import Path

import pytest

from django_jobs.models import Job, ResultRetention
from django_jobs.store.lifecycle.purge import purge
from tests.concurrency import wait_until
from tests.factories import ago
from tests.misbehaving import jobs as misbehaving
from tests.process.conftest import StartWorker
from tests.process.running import ended
from tests.results import LARGE, files, storing
from tests.sampleapp import jobs as sample

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]

SETTINGS = {"RESULTS": {"MAX_BYTES": 100, "STORAGE": "results"}}


@pytest.mark.parametrize("pool", ["threads", "processes"])
def test_every_pool_writes_large_results(
    start_worker: StartWorker, worker_environment: dict[str, str], tmp_path: Path, pool: str
) -> None:
    worker_environment["DJANGO_JOBS_TEST_RESULTS"] = str(tmp_path)
    jobs = [one.enqueue(LARGE) for one in (sample.echo, sample.echo_async, sample.echo_atomic)]
    worker = start_worker("--burst", "--pool", pool, settings=SETTINGS)
    assert worker.wait() == 0, worker.output
    assert [job.refresh().state for job in jobs] == ["succeeded"] * 3, worker.output
    with storing(tmp_path):
        assert [job.refresh().result for job in jobs] == [LARGE] * 3, worker.output
    assert len(files(tmp_path)) == ResultRetention.objects.count() == 3


def test_a_worker_clears_away_what_is_over(
    start_worker: StartWorker, worker_environment: dict[str, str], tmp_path: Path
) -> None:
    worker_environment["DJANGO_JOBS_TEST_RESULTS"] = str(tmp_path)
    over, purged = sample.echo_for_an_hour.enqueue(LARGE), misbehaving.return_much.enqueue(200)
    first = start_worker("--burst", settings=SETTINGS)
    assert first.wait() == 0, first.output
    assert len(files(tmp_path)) == 2
    ResultRetention.objects.filter(job_id=over.pk).update(expires_at=ago(seconds=1))
    assert purge(Job.objects.filter(pk=purged.pk)) == 1

    second = start_worker(settings=SETTINGS)
    wait_until(lambda: not files(tmp_path), "the files to be deleted")
    assert ended(over) == ["succeeded"]
    assert over.refresh().is_result_expired
    assert second.stop() == 0
