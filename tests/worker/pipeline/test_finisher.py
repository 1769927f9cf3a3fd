from __future__ import annotations

import pytest
from django.db import connection

from django_jobs.models import Job
from django_jobs.policy.outcomes import Released, Succeeded
from django_jobs.store.dialects.base.jobs import FinishedRun
from django_jobs.worker.execution.events import ProgressUpdate
from django_jobs.worker.pipeline.finisher import Finisher
from tests import factories
from tests.worker.contexts import RecordedEvents, make_context

pytestmark = pytest.mark.django_db(transaction=True)


class FinisherSetup:
    """A finisher with the events that it reports, and no threads."""

    def __init__(self) -> None:
        self.worker = factories.make_worker()
        self.events = RecordedEvents()
        context = make_context(self.events, worker_id=self.worker.pk)
        self.active_claims = context.active_claims
        self.finisher = Finisher(context)

    def claims(self, number: int) -> list[factories.Claim]:
        factories.make_jobs(number)
        claims = factories.take(self.worker, number)
        self.active_claims.update((claim.job_id, claim) for claim in claims)
        return claims

    def save(self, *items: FinishedRun | ProgressUpdate) -> None:
        for item in items:
            self.finisher.queue.put(item)
        self.finisher.collect()
        self.finisher.step()


def test_a_saved_batch_is_no_longer_active() -> None:
    setup = FinisherSetup()
    claims = setup.claims(3)
    setup.save(*(factories.ended(claim, Succeeded(result="1")) for claim in claims))
    assert set(Job.objects.values_list("state", flat=True)) == {"succeeded"}
    assert setup.active_claims == {}
    assert [run.claim for run in setup.events.saved] == claims
    assert setup.finisher.saved == 3
    assert setup.finisher.backlog() == 0


def test_data_that_the_database_refuses_affects_that_job_only() -> None:
    setup = FinisherSetup()
    claims = setup.claims(8)
    ends = [factories.ended(claim, Succeeded(result="1")) for claim in claims]
    ends[5] = factories.ended(claims[5], Succeeded(result="{not JSON"))
    setup.save(*ends)
    assert Job.objects.filter(state="succeeded").count() == 7
    buried = Job.objects.get(state="dead")
    assert buried.pk == claims[5].job_id
    assert buried.error == (
        "NotStorable: the result or error of this run cannot be stored: IntegrityError"
        if connection.vendor != "postgresql"
        else "NotStorable: the result or error of this run cannot be stored: DataError"
    )
    assert buried.dead_letters.get().reason == "unreadable"
    assert setup.active_claims == {}


def test_large_results_are_saved_in_statements_that_a_server_accepts() -> None:
    setup = FinisherSetup()
    claims = setup.claims(30)
    result = '"' + "x" * 900_000 + '"'
    setup.save(*(factories.ended(claim, Succeeded(result=result)) for claim in claims))
    assert Job.objects.filter(state="succeeded").count() == 30


def test_of_two_ends_of_one_run_the_first_counts() -> None:
    setup = FinisherSetup()
    (claim,) = setup.claims(1)
    setup.save(factories.ended(claim, Succeeded(result='"mine"')), factories.ended(claim, Released(started=True)))
    job = Job.objects.get()
    assert (job.state, job.result) == ("succeeded", "mine")
    assert job.attempts.count() == 1


def test_the_newest_progress_is_saved_before_the_finish() -> None:
    setup = FinisherSetup()
    (claim,) = setup.claims(1)
    setup.save(
        ProgressUpdate(claim, {"progress_done": 1, "progress_total": 5, "progress_message": "one"}),
        ProgressUpdate(claim, {"metadata": {"tenant": "blue"}}),
        ProgressUpdate(claim, {"progress_done": 5, "progress_total": 5, "progress_message": "five"}),
        factories.ended(claim, Succeeded()),
    )
    job = Job.objects.get()
    assert (job.progress_done, job.progress_message, job.metadata) == (5, "five", {"tenant": "blue"})
    assert job.state == "succeeded"


def test_the_claimer_expects_a_retry() -> None:
    setup = FinisherSetup()
    (claim,) = setup.claims(1)
    setup.save(factories.ended(claim, factories.failure()))
    assert setup.events.delays == [5.0]
    assert Job.objects.get().state == "scheduled"
