"""Claims whose answer was lost are found, and no others."""

import pytest

from django_jobs.models import Attempt
from django_jobs.policy.outcomes import Released, Succeeded
from django_jobs.policy.states import State
from django_jobs.store.lifecycle.finish import finish
from django_jobs.store.lifecycle.unanswered_claims import unanswered_claims
from tests.factories import ended, failure, make_jobs, make_worker, take

pytestmark = pytest.mark.django_db(transaction=True)


def test_claims_that_a_worker_does_not_know_are_found_and_can_be_released():
    make_jobs(4)
    make_jobs(2, State.RUNNING)
    worker = make_worker()
    known, unheard = take(worker, limit=2), take(worker, limit=2)

    found = unanswered_claims({claim.job_id for claim in known}, worker_id=worker.pk)

    assert {(claim.job_id, claim.claim_number) for claim in found} == {(claim.job_id, 1) for claim in unheard}
    given_back = finish([ended(claim, Released(started=False)) for claim in found], worker_id=worker.pk)
    assert given_back == {claim.job_id for claim in unheard}
    assert [claim.job_id for claim in take(worker)] == [claim.job_id for claim in unheard]
    assert {claim.attempt for claim in unanswered_claims({claim.job_id for claim in known}, worker_id=worker.pk)} == {1}


def test_a_worker_that_knows_all_its_claims_has_no_unanswered_ones():
    make_jobs(3)
    worker = make_worker()
    claims = take(worker)
    assert unanswered_claims({claim.job_id for claim in claims}, worker_id=worker.pk) == []


@pytest.mark.parametrize("outcome", [Succeeded(), failure()])
def test_a_repeated_finish_counts_runs_saved_the_first_time(outcome, caplog):
    make_jobs(3)
    worker = make_worker()
    runs = [ended(claim, outcome) for claim in take(worker)]
    first = finish(runs[:2], worker_id=worker.pk)

    assert finish(runs, worker_id=worker.pk, is_retry=True) == {claim.claim.job_id for claim in runs} > first
    assert Attempt.objects.count() == 3
    assert not caplog.records


def test_a_repeated_finish_of_a_run_ended_by_another_is_lost(caplog):
    make_jobs(1)
    worker = make_worker()
    (claim,) = take(worker)
    finish([ended(claim, failure())], worker_id=worker.pk)

    assert finish([ended(claim, Succeeded())], worker_id=worker.pk, is_retry=True) == set()
    assert "has lost claim 1" in caplog.text
