"""Replay: copies of jobs, in bulk."""

from __future__ import annotations

from typing import Any

import pytest

from django_jobs.models import Job
from django_jobs.policy.states import State
from django_jobs.signals import job_enqueued
from django_jobs.store.lifecycle import replay as module
from django_jobs.store.lifecycle.replay import replay
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("state", list(State))
def test_a_copy_has_what_the_job_had_and_says_whose_copy_it_is(state: State) -> None:
    job = factories.make_job(
        state,
        name="pay",
        queue_name="mail",
        priority=7,
        max_attempts=3,
        arguments={"card": "x", "n": [1]},
        metadata={"due_at": "y"},
    )
    (made,) = replay(job)
    copy = Job.objects.get(pk=made)
    assert (copy.name, copy.queue_name, copy.priority, copy.max_attempts) == ("pay", "mail", 7, 3)
    assert (copy.state, copy.attempt, copy.claim_number, copy.finished_at) == ("ready", 0, 0, None)
    assert copy.arguments == {"card": "x", "n": [1]}
    assert copy.metadata == {"due_at": "y", "copy_of": job.pk}
    assert copy.ready_at is not None
    assert copy.enqueued_at >= job.enqueued_at
    assert job.refresh().state == state.value


def test_many_are_copied_in_their_order_and_the_copies_are_not_copied_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "CHUNK_SIZE", 3)
    jobs = factories.make_jobs(7, State.SUCCEEDED)
    made = replay(Job.objects.all())
    copies = [Job.objects.get(pk=pk).metadata["copy_of"] for pk in made]
    assert copies == [job.pk for job in jobs]
    assert Job.objects.count() == 14


def test_a_deleted_job_is_not_copied() -> None:
    job = factories.make_job(State.SUCCEEDED)
    Job.objects.filter(pk=job.pk)._raw_delete("default")
    assert replay(job) == []
    assert replay(Job.objects.filter(pk=job.pk)) == []


def test_a_slice_is_refused() -> None:
    with pytest.raises(TypeError, match="without a slice"):
        replay(Job.objects.order_by("pk")[:3])


def test_the_signal_of_an_enqueue_is_sent_for_copies() -> None:
    seen: list[int] = []

    def note(job: Job, **_: Any) -> None:
        seen.append(job.pk)

    job_enqueued.connect(note, sender=Job)
    try:
        assert replay(factories.make_job(State.SUCCEEDED)) == seen
    finally:
        job_enqueued.disconnect(note, sender=Job)
