"""A job that snoozes without end keeps its newest snoozes, and every attempt that counts."""

from __future__ import annotations

from datetime import timedelta

import pytest

from django_jobs.models import Attempt, Job, JobLog
from django_jobs.policy.outcomes import Released, Snoozed, Succeeded
from django_jobs.policy.states import State
from django_jobs.store.lifecycle.finish import finish
from django_jobs.store.lifecycle.trim_attempts import MAX_REPEATS, TRIM_EVERY
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)

RUNS = 15 * TRIM_EVERY
SNOOZE = Snoozed(delay=timedelta(seconds=1))


def _snoozed_often() -> Job:
    """Return a ready job with 299 runs: each tenth failed, each ninth was released, the others snoozed."""
    job = factories.make_job(State.READY, claim_number=RUNS - 1, max_attempts=100)
    for number in range(1, RUNS):
        outcome = "failed" if number % 10 == 0 else "released" if number % 9 == 0 else "snoozed"
        factories.make_attempt(job, number=1, claim_number=number, outcome=outcome)
    JobLog.objects.bulk_create(JobLog(job=job, claim_number=number) for number in range(1, RUNS))
    return job


@pytest.mark.parametrize("outcome", [SNOOZE, Released(started=True)])
def test_old_snoozes_and_stops_are_deleted_with_their_logs(outcome: Snoozed | Released) -> None:
    job, other = _snoozed_often(), factories.make_job(State.SUCCEEDED)
    factories.make_attempt(other, claim_number=1, outcome="snoozed")
    worker = factories.make_worker()
    (claim,) = factories.take(worker)
    assert claim.claim_number == RUNS
    finish([factories.ended(claim, outcome)], worker_id=worker.pk)
    kept = dict(Attempt.objects.filter(job=job).values_list("claim_number", "outcome"))
    newest = set(range(RUNS - MAX_REPEATS + 1, RUNS + 1))
    assert newest <= kept.keys()
    assert {kept[number] for number in kept.keys() - newest} == {"failed"}
    assert len(kept.keys() - newest) == (RUNS - MAX_REPEATS) // 10
    logs = set(JobLog.objects.values_list("claim_number", flat=True))
    assert logs == kept.keys() - {RUNS}
    assert Attempt.objects.filter(job=other).count() == 1


def test_a_success_trims_nothing() -> None:
    job, worker = _snoozed_often(), factories.make_worker()
    (claim,) = factories.take(worker)
    finish([factories.ended(claim, Succeeded(result=None))], worker_id=worker.pk)
    assert Attempt.objects.filter(job=job).count() == RUNS
