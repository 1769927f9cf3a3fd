"""A process killed between any two statements of an operation leaves each job whole, and the next run ends it."""

from __future__ import annotations

import pytest

from django_jobs.models import Attempt, DeadLetter, Job, Worker
from django_jobs.policy.outcomes import Succeeded
from django_jobs.policy.states import State
from django_jobs.store.dialects.base.jobs import FinishedRun
from django_jobs.store.lifecycle.cancel import cancel
from django_jobs.store.lifecycle.finish import finish
from django_jobs.store.lifecycle.promote import promote
from django_jobs.store.lifecycle.purge import purge
from django_jobs.store.lifecycle.redrive import redrive
from django_jobs.store.lifecycle.rescue import rescue_worker
from django_jobs.store.lifecycle.run_now import run_now
from tests import factories
from tests.crashing import crash_at_every_point
from tests.factories import RULES, ago, ended, failure, make_jobs, make_letter, make_worker, take
from tests.sampleapp import jobs as sample

pytestmark = pytest.mark.django_db(transaction=True)


def _states() -> list[str]:
    return sorted(Job.objects.values_list("state", flat=True))


def _check_records() -> None:
    """Each job that has run has its attempt, each dead one its dead letter, and no other job has either."""
    for job in Job.objects.all():
        tries = Attempt.objects.filter(job=job, claim_number=job.claim_number).count()
        letters = DeadLetter.objects.filter(job=job, status="open").count()
        assert tries == (0 if job.state == State.RUNNING else 1), job
        assert letters == (1 if job.state == State.DEAD else 0), job


def _clear() -> None:
    for model in (Attempt, DeadLetter, Job, Worker):
        model.objects.all()._raw_delete("default")


@pytest.mark.slow
def test_enqueue_is_all_or_nothing() -> None:
    points = 0
    for _, _ in crash_at_every_point(_clear, lambda _: sample.echo.enqueue_many([(at,) for at in range(50)])):
        assert Job.objects.count() in {0, 50}
        points += 1
    assert Job.objects.count() == 50
    assert points > 1


@pytest.mark.slow
def test_a_crash_while_claiming_loses_no_job() -> None:
    def prepare() -> Worker:
        _clear()
        make_jobs(5)
        return make_worker()

    for _, worker in crash_at_every_point(prepare, take):
        rescue_worker(worker.pk, rules=RULES, ran=())
        assert _states() == ["ready"] * 5
        assert set(Job.objects.values_list("attempt", flat=True)) == {0}
        assert len(take(make_worker())) == 5


@pytest.mark.slow
def test_a_crash_while_finishing_saves_each_job_whole_or_not_at_all() -> None:
    def prepare() -> tuple[Worker, list[FinishedRun]]:
        _clear()
        make_jobs(3)
        worker = make_worker()
        outcomes = (Succeeded(result="1"), failure(), failure(retry_in=None))
        return worker, [ended(claim, one) for claim, one in zip(take(worker), outcomes, strict=True)]

    seen = set()
    for _, (worker, batch) in crash_at_every_point(prepare, lambda made: finish(made[1], worker_id=made[0].pk)):
        seen.add(tuple(_states()))
        _check_records()
        rescue_worker(worker.pk, rules=RULES)
        assert finish(batch, worker_id=worker.pk) == set(), "the zombie's own finish comes too late"
        _check_records()
        assert "running" not in _states()
    assert seen >= {("running",) * 3, ("dead", "scheduled", "succeeded")}


@pytest.mark.slow
def test_a_crash_while_promoting_leaves_each_job_scheduled_or_ready() -> None:
    def prepare() -> None:
        _clear()
        make_jobs(5, State.SCHEDULED, run_after=ago(seconds=1))

    for _ in crash_at_every_point(prepare, lambda _: promote()):
        assert not Job.objects.filter(state=State.READY, ready_at=None).exists()
        assert set(_states()) <= {"scheduled", "ready"}
        promote()
        assert _states() == ["ready"] * 5


@pytest.mark.slow
def test_a_crash_while_rescuing_is_repaired_by_the_next_rescue() -> None:
    def prepare() -> Worker:
        _clear()
        make_jobs(2)
        make_jobs(1, worker_deaths=RULES.max_worker_deaths - 1)
        worker = make_worker()
        take(worker)
        return worker

    for _, worker in crash_at_every_point(prepare, lambda worker: rescue_worker(worker.pk, rules=RULES)):
        _check_records()
        rescue_worker(worker.pk, rules=RULES)
        _check_records()
        assert _states() == ["dead", "ready", "ready"]
        assert set(Attempt.objects.values_list("outcome", flat=True)) == {"lost"}
        assert Attempt.objects.count() == 3


@pytest.mark.slow
def test_a_crash_while_redriving_leaves_dead_letter_and_job_consistent() -> None:
    def prepare() -> None:
        _clear()
        for _ in range(3):
            make_letter()

    for _ in crash_at_every_point(prepare, lambda _: redrive(Job.objects.all())):
        redriven = DeadLetter.objects.filter(status="redriven").count()
        assert Job.objects.filter(state=State.READY).count() == redriven
        redrive(Job.objects.all())
        assert _states() == ["ready"] * 3
        assert set(DeadLetter.objects.values_list("status", flat=True)) == {"redriven"}


@pytest.mark.slow
def test_a_crash_while_purging_leaves_no_open_dead_letter_without_its_job() -> None:
    def prepare() -> None:
        _clear()
        for _ in range(3):
            factories.make_attempt(make_letter().job)  # type: ignore[arg-type]

    for _ in crash_at_every_point(prepare, lambda _: purge(Job.objects.all())):
        assert DeadLetter.objects.filter(status="open").count() == Job.objects.count() == Attempt.objects.count()
        purge(Job.objects.all())
        assert not Job.objects.exists()


@pytest.mark.slow
@pytest.mark.parametrize(("verb", "after"), [(cancel, "cancelled"), (run_now, "ready")])
def test_a_crash_in_an_operation_leaves_all_or_nothing(verb, after) -> None:  # type: ignore[no-untyped-def]
    def prepare() -> None:
        _clear()
        make_jobs(4, State.SCHEDULED)

    for _ in crash_at_every_point(prepare, lambda _: verb(Job.objects.all())):
        assert _states() in (["scheduled"] * 4, [after] * 4)
        verb(Job.objects.all())
        assert _states() == [after] * 4
