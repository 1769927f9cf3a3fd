"""Batches as they are written, and run to their end by the engine."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from django_jobs import Batch, chain, chord, signals
from django_jobs.batches import completed_batch, current_batch
from django_jobs.exceptions import (
    ArgumentsError,
    BatchEndedError,
    ConfigurationError,
    NoCurrentBatchError,
    WaitTimeoutError,
)
from django_jobs.models import Batch as BatchRow
from django_jobs.models import BatchJob, Job
from django_jobs.testing import drain
from tests.sampleapp import jobs as sample

pytestmark = pytest.mark.django_db


def test_its_jobs_run_and_its_callback_knows_which_batch_ended() -> None:
    with Batch(description="numbers", on_complete=sample.tell_batch) as batch:
        sample.echo.enqueue_many([(n,) for n in range(5)])
    assert drain().succeeded == 6
    callback = Job.objects.get(name=sample.tell_batch.name)
    assert (callback.result, callback.metadata) == (batch.id, {"batch": batch.id})
    assert batch.progress().state == "succeeded"
    assert (batch.description, str(batch.row)) == ("numbers", f"numbers #{batch.id} (succeeded)")


def test_callbacks_keep_their_options_and_arguments() -> None:
    later = sample.add.using(priority=9, run_after=timedelta(hours=1), metadata={"by": "test"})
    with Batch(on_success=later.s(1, second=2)) as batch:
        pass
    assert drain().succeeded == 0
    job = Job.objects.get()
    assert (job.state, job.priority, job.arguments) == ("scheduled", 9, {"first": 1, "second": 2})
    assert job.metadata == {"by": "test", "batch": batch.id}


def test_chains_and_chords_in_the_block_are_in_the_batch_with_all_that_waits() -> None:
    with Batch() as batch:
        chain(sample.add.s(1, 1), sample.add.s(1)).enqueue()
        chord([sample.echo.s(1), sample.echo.s(2)], sample.add_all.s()).enqueue()
        before = sample.echo.enqueue(1)
        sample.echo.after(before).enqueue()
    assert batch.progress().total == 7
    drain()
    assert batch.progress().succeeded == 7


def test_what_a_death_cancels_is_counted() -> None:
    with Batch() as batch:
        chain(sample.discard.s("no"), sample.echo.s(), sample.echo.s()).enqueue(on_dead="cancel")
    drain()
    seen = batch.progress()
    assert (seen.dead, seen.cancelled, seen.state) == (1, 2, "failed")


def test_it_grows_from_inside_its_own_jobs() -> None:
    with Batch(on_success=sample.tell_batch) as batch:
        sample.grow.enqueue(5)
    assert drain().succeeded == 7
    assert batch.progress().succeeded == 6


def test_a_job_that_adds_to_a_cancelled_batch_is_cancelled() -> None:
    with Batch() as batch:
        job = sample.grow.enqueue(5)
    BatchRow.objects.update(cancelled_at=datetime(2026, 1, 1, tzinfo=UTC))
    drain()
    assert job.refresh().state == "cancelled"
    assert batch.progress().state == "cancelled"


def test_what_is_enqueued_where_it_goes_on_is_in_it_and_it_is_not_closed_by_that() -> None:
    with Batch() as batch:
        with Batch.get(batch.id) as again:
            sample.echo.enqueue()
            assert current_batch().id == again.id == batch.id
        with batch.get(batch.id), Batch() as inside:
            pass
    assert batch.progress().total == 2
    assert inside.row.parent_id == batch.id


def test_there_is_a_current_batch_only_inside_a_block() -> None:
    for ask in (current_batch, completed_batch, lambda: Batch().id):
        with pytest.raises(NoCurrentBatchError):
            ask()
    plain = sample.grow.enqueue(1)
    drain()
    assert "NoCurrentBatchError" in str(plain.refresh().error)


def test_a_block_builds_one_batch() -> None:
    with Batch() as batch:
        pass
    with pytest.raises(ConfigurationError, match="built by one block"), batch:
        pass
    with pytest.raises(BatchRow.DoesNotExist):
        Batch.get(0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"on_success": print}, r"Batch\(on_success\): expected a job, or a job with its arguments"),
        ({"on_failure": "tests.sampleapp.jobs.echo"}, r"Batch\(on_failure\): expected a job"),
        ({"on_complete": sample.named}, "missing a required argument: 'value'"),
        ({"on_complete": sample.echo.s(1, 2)}, "too many positional arguments"),
        ({"on_complete": sample.echo.s(object())}, "expected a JSON value"),
        (
            {"on_complete": sample.echo.using(run_after=datetime(2030, 1, 1, tzinfo=UTC))},
            "run_after that is a timed",
        ),
        ({"description": "x" * 201}, "expected a text of up to 200 characters"),
        ({"description": 7}, "expected a text"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(options: dict[str, Any], message: str) -> None:
    with pytest.raises((ConfigurationError, ArgumentsError, ValueError), match=message):
        Batch(**options)
    assert not BatchRow.objects.exists()


def test_a_callback_that_waits_for_others_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="expected a job that waits for no others"):
        Batch(on_success=sample.echo.after(sample.echo.enqueue()))


class TestWait:
    def test_it_waits_for_the_end(self) -> None:
        with Batch() as batch:
            sample.echo.enqueue()
        with pytest.raises(WaitTimeoutError, match=rf"batch {batch.id}: 1 job not ended after 0.01 s"):
            batch.wait(timedelta(milliseconds=10))
        drain()
        assert batch.wait(1).succeeded == 1


@pytest.mark.django_db(transaction=True)
def test_asynchronous_code_builds_batches_too() -> None:
    async def build(number: int) -> Batch:
        async with Batch(on_success=sample.tell_batch) as batch:
            for n in range(number):
                await sample.echo.aenqueue(n)
        await sample.echo.aenqueue("outside")
        return batch

    async def build_two() -> list[Batch]:
        return list(await asyncio.gather(build(2), build(3)))

    batches = async_to_sync(build_two)()
    assert [batch.progress().total for batch in batches] == [2, 3]
    drain()
    assert [batch.progress().state for batch in batches] == ["succeeded", "succeeded"]


class TestManyAtOnce:
    def test_the_count_of_a_stream_and_its_jobs(self) -> None:
        def stream() -> Iterator[tuple[int]]:
            yield from ((n,) for n in range(12_001))

        assert sample.echo.enqueue_stream(stream()) == 12_001
        first, last = Job.objects.earliest("pk"), Job.objects.latest("pk")
        assert (first.arguments, last.arguments) == ({"value": 0}, {"value": 12_000})
        assert sample.echo.enqueue_stream([]) == 0

    def test_into_a_batch(self) -> None:
        with Batch() as batch:
            assert sample.echo.enqueue_stream((n,) for n in range(6_000)) == 6_000
        assert batch.progress().total == BatchJob.objects.count() == 6_000

    @pytest.mark.parametrize("gathers", [False, True])
    def test_a_wrong_one_rolls_all_back_also_where_the_caller_goes_on(self, gathers: bool) -> None:
        def stream() -> Iterator[Any]:
            yield from ({"first": n} for n in range(5_500))
            yield {"third": 1}

        batch = Batch()
        batch.__enter__() if gathers else None
        with pytest.raises(ArgumentsError, match=r"\(in item 5500 of enqueue_stream\)"):
            sample.add.enqueue_stream(stream())
        batch.__exit__(None, None, None) if gathers else None
        assert not Job.objects.exists()
        assert not BatchJob.objects.exists()
        assert not gathers or batch.progress().total == 0

    def test_signals_are_sent_for_each(self, django_capture_on_commit_callbacks: Any) -> None:
        heard: list[Any] = []

        def listen(job: Job, **_: Any) -> None:
            heard.append(job.arguments["value"])

        signals.job_enqueued.connect(listen)
        try:
            with django_capture_on_commit_callbacks(execute=True):
                sample.echo.enqueue_stream((n,) for n in range(5))
        finally:
            signals.job_enqueued.disconnect(listen)
        assert heard == [0, 1, 2, 3, 4]

    def test_jobs_that_wait_are_not_streamed(self) -> None:
        with pytest.raises(ConfigurationError, match="enqueue_stream is for jobs that wait for no others"):
            sample.echo.after(sample.echo.enqueue()).enqueue_stream([(1,)])


def test_what_is_refused_by_an_ended_batch_is_a_request_to_cancel() -> None:
    from django_jobs import Cancel
    from django_jobs.exceptions import JobsError

    assert issubclass(BatchEndedError, JobsError)
    assert issubclass(BatchEndedError, Cancel)
