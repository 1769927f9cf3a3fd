import pytest

from django_jobs.models import Job, JobLog
from django_jobs.policy.log_lines import LogExcerpt, LogLine
from django_jobs.policy.states import State
from django_jobs.store.lifecycle.purge import purge
from django_jobs.store.logs import save_log
from django_jobs.testing import drain
from tests.factories import make_job, make_worker, take
from tests.misbehaving import jobs as misbehaving

pytestmark = pytest.mark.django_db


@pytest.fixture
def running():
    job, worker = make_job(), make_worker()
    [claim] = take(worker)
    return job, worker, claim


def kept(*messages, total=None):
    lines = [LogLine(1.5, "INFO", "shop", message) for message in messages]
    return LogExcerpt(lines, len(lines), len(lines) if total is None else total)


def messages(job):
    return [line.message for log in JobLog.objects.filter(job=job) for line in log.lines]


def test_a_log_grows_in_one_row_a_run(running):
    job, worker, claim = running
    save_log(claim, kept("é 😀"), worker_id=worker.pk)
    save_log(claim, kept("é 😀", "b"), worker_id=worker.pk)
    assert messages(job) == ["é 😀", "b"]
    assert job.refresh().log.lines[0].at.timestamp() == 1.5


def test_what_comes_late_writes_nothing_over_more(running):
    job, worker, claim = running
    save_log(claim, kept("a", "b", total=7), worker_id=worker.pk)
    save_log(claim, kept("a"), worker_id=worker.pk)
    assert messages(job) == ["a", "b"]
    assert job.refresh().log.omitted == 5


def test_a_lost_claim_saves_nothing(running):
    job, worker, claim = running
    save_log(claim, kept("a"), worker_id=make_worker().pk)
    save_log(claim._replace(claim_number=9), kept("a"), worker_id=worker.pk)
    Job.objects.update(state=State.SUCCEEDED)
    save_log(claim, kept("a"), worker_id=worker.pk)
    assert messages(job) == []


def test_logs_go_with_their_jobs(running):
    job, worker, claim = running
    save_log(claim, kept("a"), worker_id=worker.pk)
    Job.objects.update(state=State.SUCCEEDED)
    assert purge(Job.objects.filter(pk=job.pk)) == 1
    assert not JobLog.objects.exists()


def test_a_drained_job_keeps_its_log():
    job = misbehaving.talk_atomic.enqueue()
    assert drain().succeeded == 1
    assert messages(job) == ["inside"]


def test_a_job_that_logs_nothing_makes_no_statement():
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    misbehaving.say_nothing.enqueue()
    with CaptureQueriesContext(connection) as captured:
        drain()
    assert not [query for query in captured if "joblog" in query["sql"]]
