from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.test import TestCase

from django_jobs import JobDefinition, Retry, current_job, find_job, job, registry, signals
from django_jobs.exceptions import ConfigurationError, SerializationError, UnknownJobError
from django_jobs.models import DeadLetter, Job, Worker
from django_jobs.policy.states import State
from django_jobs.testing import drain, drained, run_job
from tests.misbehaving import jobs as misbehaving
from tests.sampleapp import chunked
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


@pytest.mark.django_db
@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), pytest.fail.Exception("not this one")])
def test_what_ends_the_test_is_raised_once_the_run_is_saved(
    error: BaseException, is_async: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_definitions", dict(registry._definitions))

    def stop() -> None:
        raise error

    async def astop() -> None:
        raise error

    stopped = job(name="drain.stopped")(astop if is_async else stop).enqueue()
    behind = sample.add.enqueue(1)
    with pytest.raises(type(error)) as caught, drained() as result:
        pass
    assert caught.value is error
    assert (stopped.refresh().state, behind.refresh().state) == ("scheduled", "ready")
    assert [job.pk for job in result.jobs] == [stopped.pk]


@pytest.mark.django_db
def test_the_thread_that_watches_time_limits_ends_with_the_drain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_definitions", dict(registry._definitions))
    limited = job(name="drain.limited", timeout=60)(lambda: [thread.name for thread in threading.enumerate()])
    before = set(threading.enumerate())
    limited.enqueue()
    assert "jobs-watchdog" in drain().jobs[0].result
    assert "jobs-watchdog" in run_job(limited.s())
    for thread in set(threading.enumerate()) - before:
        thread.join(20)
    assert set(threading.enumerate()) <= before


@pytest.mark.django_db
def test_a_job_that_no_code_knows_is_run_once() -> None:
    unknown = find_job("drain.of_another_project", unknown="allow").enqueue()
    result = drain(run_scheduled=True, max_runs=20)
    assert result.job_ids == [unknown.pk]
    assert [type(error) for error in result.errors] == [UnknownJobError]
    assert drain(run_scheduled=True).job_ids == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"run_schedule": True}, r": unknown option run_schedule \(did you mean run_scheduled\?\)"),
        ({"queues": "mail"}, r"\(queues\): expected a list of names of queues, got 'mail'; write \['mail'\]"),
        ({"queues": ["mail", 7]}, r"\(queues\): expected a list of names of queues, got \['mail', 7\]"),
        ({"queues": []}, r"\(queues\): expected a list of names of queues, got \[\]; None: all queues"),
        ({"max_runs": 0}, r"\(max_runs\): expected 1 or more, got 0"),
        ({"max_runs": None}, r"\(max_runs\): expected 1 or more, got None"),
        ({"until": 1, "run_scheduled": True}, ": expected run_scheduled or until, got both"),
    ],
)
def test_wrong_options_are_refused_before_anything_runs(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^drain{says}"):
        drain(**options)
    with pytest.raises(ConfigurationError, match=f"^drained{says}"):
        drained(**options)


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


class DrainOfChunkJobs(TestCase):
    """Waiting chunk jobs share a call, as in a worker."""

    def test_waiting_jobs_are_called_together_and_each_has_its_end(self) -> None:
        jobs = chunked.mark.enqueue_many([("a",), ("b",)])
        sample.add.enqueue(1, 2)
        jobs += chunked.mark.using(priority=5, queue_name="other").enqueue_many([("fail",), ("discard",)])
        result = drain()
        assert [job.refresh().state for job in jobs] == ["succeeded", "succeeded", "scheduled", "dead"]
        assert jobs[0].result == jobs[1].result == 4
        assert (result.succeeded, len(result.job_ids), len(result.errors)) == (3, 5, 2)
        assert any(f"job {jobs[2].pk} " in note for error in result.errors for note in error.__notes__)
        assert DeadLetter.objects.get().job_id == jobs[3].pk

    def test_a_call_has_one_key_and_no_more_than_its_size(self) -> None:
        jobs = chunked.send.enqueue_many([({"tenant": "ab"[at % 2], "text": ""},) for at in range(6)])
        many = chunked.gather.enqueue_many([("",)] * 25)
        assert drain().succeeded == 31
        assert {tuple(job.refresh().result) for job in jobs} == {("a",), ("b",)}
        assert sorted(job.refresh().result for job in many) == [5] * 5 + [20] * 20

    def test_a_drain_of_some_queues_takes_no_others_into_a_chunk(self) -> None:
        taken, left = chunked.mark.enqueue("a"), chunked.mark.using(queue_name="other").enqueue("b")
        assert drain(queues=["default"]).job_ids == [taken.pk]
        assert left.refresh().state == "ready"

    def test_max_runs_holds_for_the_jobs_of_a_chunk(self) -> None:
        chunked.mark.enqueue_many([("a",)] * 5)
        with pytest.raises(RuntimeError, match="after 3 runs"):
            drain(max_runs=3)
        assert Job.objects.filter(state=State.SUCCEEDED).count() == 3

    def test_an_async_and_an_atomic_chunk_are_drained(self) -> None:
        jobs = chunked.mark_async.enqueue_many([("a",)] * 3) + chunked.mark_atomic.enqueue_many([("a",)] * 3)
        assert drain().succeeded == 6
        assert {job.refresh().result for job in jobs} == {3}
