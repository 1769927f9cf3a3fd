"""Each duty of maintenance is seen as due by what it would do, and by nothing else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from django_jobs.models import BatchCountDelta, Dependency, ResultRetention, RollupPosition
from django_jobs.policy.states import State
from django_jobs.store.clock import database_now
from django_jobs.store.due_maintenance import DueMaintenance, read_due_maintenance
from django_jobs.store.stats.rollup import roll_up
from tests.factories import ago, make_attempt, make_batch, make_expiry, make_job, make_letter, make_worker
from tests.statements import counted

pytestmark = pytest.mark.django_db
STALE_AFTER = timedelta(seconds=15)


def _read(own_id: int | None = None) -> DueMaintenance:
    return read_due_maintenance(stale_after=STALE_AFTER, abandoned_after=timedelta(hours=1), exclude_id=own_id)


def _duties(due: DueMaintenance) -> set[str]:
    return {name for name, value in due._asdict().items() if value is True}


def _make_work_in_progress() -> None:
    """Make rows of each kind that need nothing."""
    worker = make_worker()
    make_job(State.RUNNING, worker=worker)
    make_expiry(make_job(), expires_at=ago(minutes=-1))
    make_batch(state="open", closed_at=None, last_activity_at=database_now())
    ResultRetention.objects.create(job_id=1, expires_at=ago(hours=-1))
    job = make_job()
    Dependency.objects.create(job=job, predecessor_id=job.pk, is_met=True)
    make_attempt(job)
    make_letter(job)
    roll_up(min_age=timedelta(0))


def _make_orphan() -> None:
    make_job(State.RUNNING, worker=make_worker(state="stopped"))


def _make_edge() -> None:
    Dependency.objects.create(job=make_job(State.BLOCKED), predecessor_id=1, is_met=False)


@pytest.mark.parametrize(
    ("make", "duty"),
    [
        (lambda: make_worker(heartbeat_at=ago(seconds=16)), "lost_workers"),
        (lambda: make_worker(heartbeat_at=ago(seconds=-5)), "lost_workers"),
        (_make_orphan, "orphaned_jobs"),
        (lambda: make_job(State.RUNNING, worker_id=987_654), "orphaned_jobs"),
        (lambda: BatchCountDelta.objects.create(batch=make_batch()), "repairs"),
        (lambda: make_batch(state="open", closed_at=None, last_activity_at=ago(hours=2)), "repairs"),
        (_make_edge, "repairs"),
        (lambda: make_expiry(make_job(), expires_at=ago(seconds=1)), "expiries"),
        (lambda: ResultRetention.objects.create(job_id=2, expires_at=ago(seconds=1)), "results"),
        (lambda: make_attempt(make_job()), "rollups"),
        (lambda: make_letter(make_job()), "rollups"),
    ],
)
def test_a_duty_is_due_if_there_is_something_to_do(make: Callable[[], object], duty: str) -> None:
    _make_work_in_progress()
    with counted() as cost:
        assert _duties(_read()) == set()
    assert cost.statements == 1
    make()
    assert _duties(_read()) == {duty}


def test_the_time_until_the_first_other_worker_is_stale() -> None:
    own = make_worker(heartbeat_at=ago(seconds=14))
    make_worker(heartbeat_at=ago(seconds=3))
    make_worker(state="stopping", heartbeat_at=ago(seconds=12))
    until_stale = _read(own.pk).until_stale(STALE_AFTER)
    assert until_stale is not None
    assert until_stale <= timedelta(seconds=3.1)


def test_a_worker_alone_waits_for_nobody_to_be_stale() -> None:
    own = make_worker(heartbeat_at=ago(hours=1))
    make_worker(state="lost")
    due = _read(own.pk)
    assert due.until_stale(STALE_AFTER) is None
    assert not due.lost_workers


def test_it_tells_when_the_backlog_was_sampled_last() -> None:
    assert _read().sampled_at is None
    instant = ago(seconds=40)
    RollupPosition.objects.create(source="backlog", seen_at=instant)
    assert _read().sampled_at == instant
