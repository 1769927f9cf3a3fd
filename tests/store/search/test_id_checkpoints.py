from datetime import timedelta

import pytest

from django_jobs.models import Job, JobIdCheckpoint
from django_jobs.store.clock import database_now
from django_jobs.store.search.id_checkpoints import (
    INTERVAL,
    id_after,
    id_before,
    prune_id_checkpoints,
    record_id_checkpoint,
)
from tests.concurrency import run_together
from tests.factories import ago, make_job, make_jobs

pytestmark = pytest.mark.django_db


def mark(job_id, **before):
    JobIdCheckpoint.objects.create(recorded_at=ago(**before), job_id=job_id)


def test_a_checkpoint_is_the_newest_job_of_ten_minutes():
    job = make_jobs(3)[-1]
    record_id_checkpoint()
    make_job()
    record_id_checkpoint()

    one = JobIdCheckpoint.objects.get()
    assert one.job_id == job.pk
    assert one.recorded_at.minute % 10 == one.recorded_at.second == one.recorded_at.microsecond == 0
    assert timedelta(0) <= database_now() - one.recorded_at <= INTERVAL + timedelta(minutes=1)


def test_without_jobs_there_is_no_checkpoint():
    record_id_checkpoint()

    assert not JobIdCheckpoint.objects.exists()
    assert id_before(ago(days=1)) == 0
    assert id_after(ago(days=1)) is None
    assert prune_id_checkpoints() == 0


def test_no_job_of_a_time_is_outside_its_bounds():
    """A checkpoint may be recorded up to ten minutes after its time."""
    mark(100, minutes=75)
    mark(200, minutes=65)
    mark(300, minutes=55)
    mark(400, minutes=45)

    assert id_before(ago(minutes=60)) == 100
    assert id_after(ago(minutes=60)) == 400
    assert id_before(ago(minutes=80)) == 0
    assert id_after(ago(minutes=50)) is None


def test_checkpoints_from_before_the_oldest_job_are_deleted():
    oldest = make_job()
    mark(oldest.pk - 1, hours=3)
    mark(oldest.pk, hours=2)
    mark(oldest.pk + 1, hours=1)

    assert prune_id_checkpoints() == 1
    assert JobIdCheckpoint.objects.count() == 2
    assert Job.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_concurrent_calls_leave_one_checkpoint():
    make_job()

    run_together(*[record_id_checkpoint] * 4)

    assert 1 <= JobIdCheckpoint.objects.count() <= 2, "two where the ten minutes end just now"
