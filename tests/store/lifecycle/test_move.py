"""Move to a queue and set a priority: waiting jobs only, in the right place of their new lane and at their limits."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from django_jobs.exceptions import ConfigurationError
from django_jobs.models import Job, Permit
from django_jobs.policy.claim_cursors import ClaimCursors, Lane
from django_jobs.policy.limits import Concurrency, LimitKind, Ordering, PermitPhase
from django_jobs.policy.states import WAITING_STATES, State
from django_jobs.store.lifecycle.claim import claim, refresh_cursors
from django_jobs.store.lifecycle.move import move
from django_jobs.store.lifecycle.prioritize import set_priority
from django_jobs.store.lifecycle.redrive import redrive
from django_jobs.store.lifecycle.run_now import run_now
from django_jobs.store.limits.admit import admit
from django_jobs.store.queues import pause, set_max_running
from tests.factories import ago, make_job, make_jobs, make_limit, make_permit, make_worker, take

pytestmark = pytest.mark.django_db

VERBS = {"move": partial(move, to="mail"), "set_priority": partial(set_priority, priority=7)}


def _taken(**fields: Any) -> list[int]:
    return [claim.job_id for claim in take(make_worker(), **fields)]


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("state", State)
def test_only_waiting_jobs_are_changed_and_keep_their_state(verb: str, state: State) -> None:
    job = make_job(state)
    before = (job.state, job.ready_at, job.run_after, job.claim_number)

    assert VERBS[verb](job) == (state in WAITING_STATES)

    job.refresh()
    assert (job.state, job.ready_at, job.run_after, job.claim_number) == before
    changed = ("mail", 0) if verb == "move" else ("default", 7)
    assert (job.queue_name, job.priority) == (changed if state in WAITING_STATES else ("default", 0))


@pytest.mark.parametrize("verb", VERBS)
def test_jobs_that_are_there_already_are_not_counted(verb: str) -> None:
    make_jobs(2, queue_name="mail", priority=7)
    make_jobs(3)
    assert VERBS[verb](Job.objects.all()) == 3
    assert VERBS[verb](Job.objects.all()) == 0


def test_a_moved_job_is_claimed_by_its_age_among_those_of_the_queue() -> None:
    old = make_job(ready_at=ago(minutes=3))
    younger = make_job(queue_name="mail", ready_at=ago(minutes=2))
    youngest = make_job(ready_at=ago(minutes=1))
    assert move(Job.objects.filter(queue_name="default"), to="mail", by="ada") == 2
    assert _taken(queues=["default"]) == []
    assert _taken(queues=["mail"]) == [old.pk, younger.pk, youngest.pk]


@pytest.mark.parametrize("verb", VERBS)
def test_a_job_behind_the_position_of_a_worker_is_found_by_its_next_look(verb: str) -> None:
    lane = Lane("mail", 0) if verb == "move" else Lane("default", 7)
    make_jobs(2, queue_name=lane.queue_name, priority=lane.priority, ready_at=ago(minutes=1))
    older = make_job(ready_at=ago(minutes=5))
    cursors, worker = ClaimCursors(), make_worker()
    refresh_cursors(cursors, queues=None)
    assert len(claim(cursors, lane, limit=1, worker_id=worker.pk)) == 1
    VERBS[verb](older)
    refresh_cursors(cursors, queues=None)
    assert [one.job_id for one in claim(cursors, lane, limit=1, worker_id=worker.pk)] == [older.pk]


def test_a_pause_and_a_cap_hold_for_moved_jobs_in_their_new_queue() -> None:
    make_jobs(3)
    set_max_running("mail", 2)
    pause("documents")
    move(Job.objects.all(), to="documents")
    assert _taken() == []
    move(Job.objects.all(), to="mail")
    assert len(_taken()) == 2


def test_a_job_of_a_higher_priority_is_claimed_first() -> None:
    make_job()
    later = make_job()
    assert set_priority(later, priority=1) == 1
    assert _taken(limit=1) == [later.pk]


@pytest.mark.parametrize("verb", VERBS)
def test_a_job_at_a_limit_waits_there_as_before_and_a_higher_priority_comes_first(verb: str) -> None:
    limit = make_limit(Concurrency(1), check_at=ago())
    first, second = (make_permit(limit).job for _ in range(2))
    VERBS[verb](second)
    assert set(Permit.objects.values_list("phase", flat=True)) == {PermitPhase.WAITING}
    assert admit().granted == 1
    admitted = first if verb == "move" else second
    assert admitted.refresh().state == State.READY
    assert _taken() == [admitted.pk]


def test_an_ordering_does_not_know_priorities() -> None:
    limit = make_limit(Ordering("order"), check_at=ago())
    first, second = (make_permit(limit, kind=LimitKind.ORDER).job for _ in range(2))
    set_priority(second, priority=50)
    admit()
    assert (first.refresh().state, second.refresh().state) == (State.READY, State.BLOCKED)


@pytest.mark.parametrize(("verb", "state"), [(redrive, State.DEAD), (run_now, State.SCHEDULED)])
def test_jobs_that_run_again_at_a_priority_wait_behind_others_in_queues_and_at_limits(verb: Any, state: State) -> None:
    limit = make_limit(Concurrency(1), check_at=ago())
    again = make_permit(limit, make_job(state, flags=1), phase=PermitPhase.ASLEEP).job
    plain = make_job(state)
    live = make_permit(limit).job
    assert verb(Job.objects.filter(pk__in=[again.pk, plain.pk]), priority=-100) == 2
    assert (again.refresh().priority, plain.refresh().priority) == (-100, -100)
    assert (again.state, again.permits.get().urgency) == (State.BLOCKED, 100)
    admit()
    assert _taken() == [live.pk, plain.pk]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (partial(move, to="a,b"), "to: expected 1 to 100 printable characters"),
        (partial(set_priority, priority=101), "priority: expected a whole number from -100 to 100"),
        (partial(redrive, priority=-101), "priority: expected a whole number from -100 to 100"),
        (partial(run_now, priority="high"), "priority: expected a whole number from -100 to 100"),
    ],
)
def test_a_wrong_queue_or_priority_is_refused(call: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        call(Job.objects.all())
