from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_jobs.exceptions import ResultExpiredError
from django_jobs.models import Job, ResultRetention
from django_jobs.policy.flags import JobFlag
from django_jobs.policy.outcomes import ResultRetentionSpec, Succeeded
from django_jobs.policy.states import State
from django_jobs.result_storage import write_result
from django_jobs.store.dialects.base.jobs import FinishedRun
from django_jobs.store.lifecycle.finish import finish
from django_jobs.store.lifecycle.prune import prune
from django_jobs.store.lifecycle.purge import purge
from django_jobs.store.lifecycle.rescue import rescue_worker
from django_jobs.store.results import retention
from django_jobs.store.results.retention import expire_results
from tests.crashing import crash_at_every_point
from tests.factories import RULES, ago, ended, make_dependency, make_job, make_jobs, make_worker, take
from tests.results import files, storing

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def _storing(tmp_path: Path) -> Iterator[None]:
    with storing(tmp_path):
        yield


def make_kept(*, file: bool = False, is_over: bool = True, **fields: Any) -> Job:
    """Return a job that succeeded, with a result that is kept until a minute ago, or for an hour."""
    job = make_job(State.SUCCEEDED, result_data="kept", flags=JobFlag.HAS_RESULT_RETENTION, **fields)
    row = ResultRetention(job_id=job.pk, expires_at=ago(minutes=1) if is_over else ago(hours=-1))
    if file:
        written = write_result('"kept"', job_id=job.pk, day=job.enqueued_at.date(), storage="results")
        row.storage, row.file_name = written.storage, written.name
        Job.objects.filter(pk=job.pk).update(result_data=written.reference())
    row.save()
    return job.refresh()


def succeed_with_file(worker: Any) -> list[FinishedRun]:
    """Return the finished runs of all that can be claimed, each with a result in a file."""
    ends = []
    for claim in take(worker):
        file = write_result('"large"', job_id=claim.job_id, day=ago().date(), storage="results")
        result_retention = ResultRetentionSpec(ttl=HOUR, storage=file.storage, file_name=file.name)
        ends.append(ended(claim, Succeeded(result=json.dumps(file.reference()), result_retention=result_retention)))
    return ends


def test_a_finish_notes_until_when_a_result_is_kept() -> None:
    make_jobs(2)
    worker = make_worker()
    plain, brief = take(worker)
    finish(
        [
            ended(plain, Succeeded(result="1")),
            ended(brief, Succeeded(result="2", result_retention=ResultRetentionSpec(ttl=HOUR))),
        ],
        worker_id=worker.pk,
    )
    row = ResultRetention.objects.get()
    assert row.job_id == brief.job_id
    assert row.expires_at is not None
    assert timedelta(minutes=59) < row.expires_at - ago() <= HOUR
    assert dict(Job.objects.values_list("pk", "flags")) == {
        plain.job_id: 0,
        brief.job_id: JobFlag.HAS_RESULT_RETENTION,
    }


def test_a_finish_without_a_time_to_live_takes_no_statement_more() -> None:
    make_jobs(2)
    worker = make_worker()
    first, second = take(worker)
    with CaptureQueriesContext(connection) as queries:
        finish([ended(first, Succeeded(result="1"))], worker_id=worker.pk)
        plain = len(queries)
    assert not [query for query in queries.captured_queries if "resultretention" in query["sql"]]
    with CaptureQueriesContext(connection) as queries:
        finish(
            [ended(second, Succeeded(result="1", result_retention=ResultRetentionSpec(ttl=HOUR)))],
            worker_id=worker.pk,
        )
    assert len(queries) > plain


@pytest.mark.parametrize("file", [False, True])
def test_a_result_expires_when_its_time_is_over(tmp_path: Path, file: bool) -> None:
    over, kept = make_kept(file=file), make_kept(file=file, is_over=False)
    assert over.result == "kept"

    assert expire_results() == (1, False)

    assert over.refresh().is_result_expired
    assert not over.is_result_lost
    with pytest.raises(ResultExpiredError, match=f"job {over.pk} "):
        _ = over.result
    assert (kept.refresh().result, kept.is_result_expired) == ("kept", False)
    assert [row.job_id for row in ResultRetention.objects.all()] == [kept.pk]
    assert len(files(tmp_path)) == file


def test_a_result_that_is_still_waited_for_is_kept(tmp_path: Path) -> None:
    job = make_kept(file=True)
    successor = make_job(State.BLOCKED)
    make_dependency(successor, job)

    assert expire_results() == (0, False)
    assert job.refresh().result == "kept"
    row = ResultRetention.objects.get()
    assert row.expires_at is not None
    assert row.expires_at > ago(), "it is looked at again later"

    Job.objects.filter(pk=successor.pk).update(state=State.SUCCEEDED, finished_at=ago())
    ResultRetention.objects.update(expires_at=ago(seconds=1))
    assert expire_results() == (1, False)
    assert job.refresh().is_result_expired
    assert files(tmp_path) == []


@pytest.mark.parametrize("by", ["purge", "prune"])
def test_the_file_of_a_job_that_is_deleted_is_deleted_too(tmp_path: Path, by: str) -> None:
    job = make_kept(file=True, is_over=False, enqueued_at=ago(days=2), finished_at=ago(days=2))
    make_kept(is_over=False, enqueued_at=ago(days=2), finished_at=ago(days=2))
    if by == "purge":
        assert purge(Job.objects.all()) == 2
    else:
        assert prune({State.SUCCEEDED: timedelta(days=1)}).jobs == 2
    assert len(files(tmp_path)) == 1, "files are maintenance's to delete"

    assert expire_results() == (2, False)
    assert files(tmp_path) == []
    assert not ResultRetention.objects.exists()
    assert not Job.objects.filter(pk=job.pk).exists()


def test_a_lost_claim_takes_its_file_along(tmp_path: Path) -> None:
    make_job()
    worker = make_worker()
    ends = succeed_with_file(worker)
    rescue_worker(worker.pk, rules=RULES)
    assert len(files(tmp_path)) == 1

    assert finish(ends, worker_id=worker.pk) == set()
    assert files(tmp_path) == []
    assert not ResultRetention.objects.exists()


def test_a_finish_that_is_saved_again_keeps_its_file(tmp_path: Path) -> None:
    make_job()
    worker = make_worker()
    ends = succeed_with_file(worker)
    finish(ends, worker_id=worker.pk)

    assert finish(ends, worker_id=worker.pk, is_retry=True) == {ends[0].claim.job_id}
    assert Job.objects.get().result == "large"
    assert ResultRetention.objects.count() == len(files(tmp_path)) == 1


def test_a_file_that_cannot_be_deleted_is_tried_again_later() -> None:
    jobs = [make_kept(), make_kept(), make_kept()]
    ResultRetention.objects.filter(job_id__lt=jobs[2].pk).update(storage="broken", file_name="a.json")

    assert expire_results().more is False

    assert all(job.refresh().is_result_expired for job in jobs)
    rows = list(ResultRetention.objects.all())
    assert {row.job_id for row in rows} == {jobs[0].pk, jobs[1].pk}
    assert all(row.expires_at is not None and row.expires_at > ago() for row in rows)


def test_files_that_there_is_no_time_for_are_left_to_the_next_round(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    make_kept(file=True)
    with monkeypatch.context() as patched:
        patched.setattr(retention, "MAX_DELETE_SECONDS", -1.0)
        assert expire_results() == (0, True)
    assert len(files(tmp_path)) == 1
    assert expire_results() == (1, False)
    assert files(tmp_path) == []


def test_expiry_goes_by_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "WINDOW", 2)
    for _ in range(5):
        make_kept()
    assert expire_results(windows=2) == (4, True)
    assert expire_results(windows=2) == (1, False)
    assert expire_results() == (0, False)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_crash_while_finishing_leaves_result_and_row_in_step(tmp_path: Path) -> None:
    def prepare() -> tuple[Any, list[FinishedRun]]:
        _clear()
        make_jobs(2)
        worker = make_worker()
        return worker, succeed_with_file(worker)

    for _, (worker, ends) in crash_at_every_point(prepare, lambda made: finish(made[1], worker_id=made[0].pk)):
        done = Job.objects.filter(state=State.SUCCEEDED)
        assert ResultRetention.objects.count() == done.count()
        assert all(job.result == "large" for job in done)
        rescue_worker(worker.pk, rules=RULES)
        finish(ends, worker_id=worker.pk, is_retry=True)
        assert {row.file_name for row in ResultRetention.objects.all()} == {
            job.result_file.name for job in done.all() if job.result_file
        }


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_the_next_round_completes_an_expiry_that_crashed(tmp_path: Path) -> None:
    def prepare() -> None:
        _clear()
        make_kept()
        make_kept(file=True)

    for _ in crash_at_every_point(prepare, lambda _: expire_results()):
        expire_results()
        assert all(job.is_result_expired for job in Job.objects.all())
        assert not ResultRetention.objects.exists()
        assert files(tmp_path) == []


def _clear() -> None:
    Job.objects.all()._raw_delete("default")
    ResultRetention.objects.all().delete()
