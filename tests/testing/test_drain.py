from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.test import TestCase

from django_jobs import JobDefinition, Retry, current_job, job, signals
from django_jobs.exceptions import SerializationError
from django_jobs.models import DeadLetter, Job, Worker
from django_jobs.policy.states import State
from django_jobs.testing import drain
from tests.misbehaving import jobs as misbehaving
from tests.sampleapp import jobs as sample
from tests.sampleapp.models import Customer


@job(name="drain.grandparent")
def grandparent() -> None:
    parent.enqueue()


@job(name="drain.parent")
def parent() -> None:
    sample.add.enqueue(40, 2)


@job(name="drain.metadata")
def metadata() -> Any:
    context = current_job()
    if context.attempt == 1:
        context.metadata["first"] = dict(context.metadata)
        context.save_metadata()
        raise Retry
    return [context.metadata.pop("first"), context.metadata]


@job(name="drain.forever")
def forever() -> None:
    forever.enqueue()


class DrainInATestCase(TestCase):
    """``drain()`` works inside the transaction of Django's TestCase."""

    def test_jobs_and_what_they_enqueue_are_run_in_order(self) -> None:
        first, second = grandparent.enqueue(), sample.echo_async.enqueue("async")
        drained = drain()
        assert drained.succeeded == 4
        assert drained.job_ids[:2] == [first.pk, second.pk]
        assert Job.objects.get(pk=drained.job_ids[-1]).result == 42
        assert second.refresh().result == "async"

    def test_metadata_reaches_the_job_as_it_was_given_and_is_saved_so(self) -> None:
        given = {"at": datetime(2026, 1, 1, tzinfo=UTC), "$type": "model", "ids": [UUID(int=7), 2**70]}
        job = metadata.using(metadata=given).enqueue()
        drain()
        assert drain(run_scheduled=True).succeeded == 1
        assert job.refresh().result == [given, given]

    def test_metadata_refers_to_no_row(self) -> None:
        row = Customer.objects.create(name="ada")
        with pytest.raises(
            SerializationError, match=r"metadata: .* a row of sampleapp\.customer; store its primary key"
        ):
            sample.add.using(metadata={"for": [row]}).enqueue(1)

    def test_delayed_jobs_wait_unless_asked_for(self) -> None:
        later = sample.add.using(run_after=timedelta(days=1)).enqueue(1)
        assert drain().runs == {}
        assert drain(run_scheduled=True).job_ids == [later.pk]

    def test_failures_are_recorded_and_not_raised(self) -> None:
        failing = sample.fail.enqueue("broken")
        assert drain().runs == {State.SCHEDULED: 1, State.DEAD: 1}
        assert failing.refresh().error == "RuntimeError: broken"

    def test_only_the_named_queues_are_run(self) -> None:
        named, other = sample.named.enqueue(1), sample.add.enqueue(1)
        drain(queues=["documents"])
        assert (named.refresh().state, other.refresh().state) == ("succeeded", "ready")

    def test_a_job_that_enqueues_itself_is_noticed(self) -> None:
        forever.enqueue()
        with pytest.raises(RuntimeError, match=r"drain\(\) stopped after 50 runs; the last was of drain.forever"):
            drain(max_runs=50)

    def test_a_failed_atomic_job_leaves_no_write(self) -> None:
        from tests.sampleapp.models import Customer

        failed = misbehaving.write_and_fail.enqueue("must not stay")
        drain()
        assert failed.refresh().state == State.DEAD
        assert not Customer.objects.exists()

    def test_progress_and_metadata_are_saved(self) -> None:
        noted = misbehaving.note_metadata.using(metadata={"tenant": "blue"}).enqueue()
        drain()
        assert noted.refresh().progress_message == "three of seven"
        assert noted.metadata["seen_by"] == "default"

    def test_its_worker_is_gone_afterwards(self) -> None:
        drain()
        assert Worker.objects.get().state == "stopped"


@pytest.mark.django_db(transaction=True)
class TestCancelled:
    """A job that raises ``Cancelled`` is neither a success nor a dead letter."""

    @pytest.mark.parametrize("one", [sample.end_if_asked, sample.end_if_asked_async])
    def test_a_job_that_was_asked_to_end_ends_as_cancelled(self, one: JobDefinition[[], str]) -> None:
        asked, other = one.enqueue(), one.enqueue()
        Job.objects.filter(pk=asked.pk).update(cancel_requested_at=asked.enqueued_at)
        heard = []

        def receive(job: Job, **_: object) -> None:
            heard.append((job.pk, job.state))

        signals.job_cancelled.connect(receive)
        drain()
        signals.job_cancelled.disconnect(receive)
        assert asked.refresh().state == State.CANCELLED
        assert asked.finished_at is not None
        [attempt] = asked.attempts
        assert (attempt.outcome, attempt.error) == ("cancelled", "django_jobs.exceptions.Cancel: asked to")
        assert not DeadLetter.objects.exists()
        assert other.refresh().result == "went on"
        assert heard == [(asked.pk, "cancelled")]

    def test_what_an_atomic_job_wrote_is_rolled_back(self) -> None:
        customer = Customer.objects.create(name="Ada")
        job = sample.write_and_cancel.enqueue(customer.pk)
        drain()
        assert job.refresh().state == State.CANCELLED
        customer.refresh_from_db()
        assert customer.visits == 0
