"""Operations where Django people look for them: on querysets and managers."""

from __future__ import annotations

import pytest
from django.template import Context, Template

from django_jobs.models import DeadLetter, Job, Queue, Worker
from django_jobs.operations import CancelResult
from django_jobs.policy.states import FINAL_STATES, WAITING_STATES, State
from tests.factories import make_job, make_jobs, make_letter, make_worker

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("state", list(State))
def test_jobs_are_selected_by_their_state(state: State) -> None:
    by_state = {each: make_job(each) for each in State}

    assert list(getattr(Job.objects, state.value)()) == [by_state[state]]


def test_jobs_are_selected_by_what_states_have_in_common() -> None:
    for state in State:
        make_job(state)

    assert {job.state for job in Job.objects.waiting()} == WAITING_STATES
    assert {job.state for job in Job.objects.finished()} == FINAL_STATES


def test_a_queryset_cancels_its_jobs_and_no_others() -> None:
    make_jobs(2, queue_name="mail")
    make_job(State.RUNNING, queue_name="mail")
    other = make_job(queue_name="default")

    assert Job.objects.filter(queue_name="mail").cancel(by="ada") == CancelResult(2, 1)
    assert Job.objects.running().cancel() == CancelResult()
    assert other.refresh().state == State.READY


def test_a_queryset_runs_redrives_purges_and_replays_its_jobs() -> None:
    scheduled, dead, succeeded = make_job(State.SCHEDULED), make_letter().job, make_job(State.SUCCEEDED)

    assert Job.objects.scheduled().run_now(by="ada") == 1
    assert Job.objects.dead().redrive(by="ada") == 1
    assert len(Job.objects.succeeded().replay()) == 1
    assert Job.objects.succeeded().purge(by="ada") == 1

    assert dead is not None
    assert {job.refresh().state for job in (scheduled, dead)} == {State.READY}
    assert not Job.objects.filter(pk=succeeded.pk).exists()
    assert list(DeadLetter.objects.redriven().values_list("resolved_by", flat=True)) == ["ada"]


def test_open_dead_letters_are_redriven_resolved_and_purged() -> None:
    redriven, resolved, purged = make_letter(), make_letter(), make_letter()

    assert DeadLetter.objects.filter(pk=redriven.pk).redrive(by="ada") == 1
    assert DeadLetter.objects.filter(pk=resolved.pk).resolve(by="ada", note="known") == 1
    assert DeadLetter.objects.open().purge(by="ada") == 1

    assert not DeadLetter.objects.open().exists()
    assert list(DeadLetter.objects.redriven()) == [redriven]
    assert list(DeadLetter.objects.resolved()) == [resolved]
    assert list(DeadLetter.objects.purged()) == [purged]
    assert DeadLetter.objects.open().redrive() == 0


def test_queues_are_paused_and_resumed() -> None:
    for name in ("mail", "slow"):
        Queue.objects.create(name=name)

    assert Queue.objects.filter(name="mail").pause(by="ada") == 1
    assert [queue.name for queue in Queue.objects.paused()] == ["mail"]
    assert Queue.objects.all().pause() == 1
    assert Queue.objects.all().resume() == 2
    assert not Queue.objects.paused().exists()


def test_workers_are_alive_until_they_stop_or_are_lost() -> None:
    alive = [make_worker(state=state) for state in (Worker.State.RUNNING, Worker.State.STOPPING)]
    for state in (Worker.State.STOPPED, Worker.State.LOST):
        make_worker(state=state)

    assert list(Worker.objects.alive().order_by("pk")) == alive


def test_a_template_cannot_cancel_or_purge_jobs() -> None:
    job = make_job()

    Template("{{ job.cancel }}{{ jobs.cancel }}{{ manager.cancel }}{{ jobs.purge }}").render(
        Context({"job": job, "jobs": Job.objects.all(), "manager": Job.objects})
    )

    assert job.refresh().state == State.READY
