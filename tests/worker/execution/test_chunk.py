"""One call for many jobs, and an end of its own for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from django_jobs.models import DeadLetter, Job, JobLog
from django_jobs.policy.flags import JobFlag
from django_jobs.store.dialects.base.jobs import Claim, FinishedRun
from django_jobs.store.lifecycle.finish import finish
from django_jobs.worker.execution.chunk import aexecute_chunk, execute_chunk
from django_jobs.worker.execution.events import CommittedRun
from tests import factories
from tests.sampleapp import chunked
from tests.sampleapp.models import Customer
from tests.worker.contexts import RecordedEvents, make_context

pytestmark = pytest.mark.django_db(transaction=True)


def _run(definition: Any, *arguments: Any, change: Any = list) -> list[Job]:
    """Enqueue, claim and run these jobs in one chunk; return them as they are then."""
    jobs = definition.enqueue_many([(argument,) for argument in arguments])
    worker = factories.make_worker()
    claims: Sequence[Claim] = change(factories.take(worker))
    context = make_context(RecordedEvents(), worker_id=worker.pk)
    ends: list[FinishedRun | CommittedRun] = []
    if definition.is_async:
        async_to_sync(aexecute_chunk)(claims, context, ends.extend)
    else:
        ends = execute_chunk(claims, context)
    assert len(ends) == len(jobs)
    finish([end for end in ends if isinstance(end, FinishedRun)], worker_id=worker.pk)
    context.end_threads()
    return [job.refresh() for job in jobs]


def _states(jobs: list[Job]) -> list[str]:
    return [job.state for job in jobs]


@pytest.mark.parametrize("definition", [chunked.mark, chunked.mark_async, chunked.mark_atomic])
def test_each_job_of_a_chunk_has_its_own_end(definition: Any) -> None:
    jobs = _run(definition, "a", "fail", "retry", "snooze", "discard", "cancel", "succeed", "odd")
    assert _states(jobs) == [
        *("succeeded", "scheduled", "scheduled", "scheduled", "dead", "cancelled", "succeeded", "scheduled")
    ]
    assert [job.result for job in jobs if job.state == "succeeded"] == [8, "done"]
    outcomes = [job.attempts.get().outcome for job in jobs]
    assert outcomes == ["succeeded", "failed", "retried", "snoozed", "discarded", "cancelled", "succeeded", "failed"]
    assert jobs[1].attempts.get().error_message == "this one"
    assert jobs[2].run_after is not None
    assert (jobs[2].run_after - jobs[2].enqueued_at).total_seconds() > 3_000
    assert DeadLetter.objects.get().job_id == jobs[4].pk


def test_an_exception_of_the_call_is_the_failure_of_the_unmarked() -> None:
    jobs = _run(chunked.mark, "a", "succeed", "discard", "raise")
    assert _states(jobs) == ["scheduled", "succeeded", "dead", "scheduled"]
    assert {jobs[index].attempts.get().error_message for index in (0, 3)} == {"all of them"}


def test_an_exception_of_an_atomic_call_rolls_back_all_and_fails_also_the_succeeded() -> None:
    jobs = _run(chunked.mark_atomic, "a", "succeed", "discard", "raise")
    assert _states(jobs) == ["scheduled", "scheduled", "dead", "scheduled"]
    assert not Customer.objects.exists()


def test_what_an_atomic_call_wrote_is_committed_with_all_ends() -> None:
    assert _states(_run(chunked.mark_atomic, "a", "fail")) == ["succeeded", "scheduled"]
    assert set(Customer.objects.values_list("name", flat=True)) == {"a", "fail"}


@pytest.mark.parametrize("definition", [chunked.mark, chunked.mark_atomic])
def test_a_job_whose_claim_was_lost_is_not_finished(definition: Any) -> None:
    jobs = _run(definition, "a", "b", change=lambda claims: [claims[0]._replace(claim_number=9), claims[1]])
    assert _states(jobs) == ["running", "ready" if definition is chunked.mark_atomic else "succeeded"]
    assert bool(Customer.objects.exists()) is False
    assert jobs[1].attempt == (0 if definition is chunked.mark_atomic else 1)


def test_what_cannot_start_ends_alone() -> None:
    def spoil(claims: list[Claim]) -> list[Claim]:
        return [
            claims[0]._replace(arguments="{no JSON"),
            claims[1]._replace(flags=JobFlag.CANCEL_REQUESTED),
            claims[2],
        ]

    jobs = _run(chunked.mark, "a", "b", "c", change=spoil)
    assert _states(jobs) == ["dead", "cancelled", "succeeded"]
    assert jobs[2].result == 1


def test_a_job_enqueued_before_its_function_took_chunks_runs_if_it_has_one_argument() -> None:
    def age(claims: list[Claim]) -> list[Claim]:
        return [
            claims[0]._replace(arguments='{"product_id": 7}'),
            claims[1]._replace(arguments='{"product_id": 7, "language": "de"}'),
            claims[2]._replace(arguments="{}"),
        ]

    jobs = _run(chunked.mark, "a", "b", "c", change=age)
    assert _states(jobs) == ["succeeded", "dead", "dead"]
    assert "enqueued with 2" in jobs[1].attempts.get().error_message


def test_a_timeout_ends_the_call_and_the_unmarked_jobs() -> None:
    jobs = _run(chunked.doze_together, "a", "b")
    assert _states(jobs) == ["succeeded", "scheduled"]
    assert jobs[1].attempts.get().outcome == "timed_out"


def test_a_timeout_of_an_async_chunk_ends_the_unmarked_jobs() -> None:
    jobs = _run(chunked.doze_async, "a", "b")
    assert _states(jobs) == ["succeeded", "scheduled"]
    assert (jobs[0].result, jobs[1].attempts.get().outcome) == ("in time", "timed_out")


def test_a_job_that_has_expired_is_not_among_the_items() -> None:
    def expire(claims: list[Claim]) -> list[Claim]:
        factories.make_expiry(Job.objects.get(pk=claims[0].job_id), expires_at=factories.ago(seconds=5))
        return [claims[0]._replace(flags=JobFlag.EXPIRES), claims[1]]

    jobs = _run(chunked.mark, "a", "b", change=expire)
    assert _states(jobs) == ["cancelled", "succeeded"]
    assert jobs[1].result == 1


def test_an_exception_in_the_block_of_an_item_is_only_its_own() -> None:
    jobs = _run(chunked.isolate_each, "discard", "retry", "snooze", "cancel", "x")
    assert _states(jobs) == ["dead", "scheduled", "scheduled", "cancelled", "succeeded"]
    assert jobs[4].result == "fine"


def test_a_chunk_job_is_called_plainly_with_one_item() -> None:
    assert chunked.mark("a") is None or chunked.mark("a") == 1
    with pytest.raises(ValueError, match="this one"):
        chunked.mark("fail")
    assert not JobLog.objects.exists()
