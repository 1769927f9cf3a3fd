from datetime import timedelta

import pytest

from django_jobs.models import AlertHistory, Attempt, DeadLetter, Job, Tick, Worker
from django_jobs.policy.states import State
from django_jobs.store.lifecycle import prune as prune_module
from django_jobs.store.lifecycle.prune import prune, prune_records, prune_ticks
from tests.factories import (
    ago,
    make_alerted_error,
    make_attempt,
    make_job,
    make_letter,
    make_schedule,
    make_tick,
    make_worker,
)

pytestmark = pytest.mark.django_db

RETENTION = {
    State.SUCCEEDED: timedelta(days=7),
    State.CANCELLED: timedelta(days=1),
    State.DEAD: timedelta(days=90),
}


def make_ended(state, days, **fields):
    return make_job(state, finished_at=ago(days=days), enqueued_at=ago(days=days, minutes=1), **fields)


@pytest.mark.parametrize(
    ("state", "days", "kept"),
    [
        (State.SUCCEEDED, 6.9, True),
        (State.SUCCEEDED, 7.1, False),
        (State.CANCELLED, 0.9, True),
        (State.CANCELLED, 1.1, False),
        (State.DEAD, 89, True),
        (State.DEAD, 91, False),
    ],
)
def test_a_job_is_kept_for_the_retention_of_its_state_from_its_end(state, days, kept):
    make_ended(state, days)

    assert prune(RETENTION).jobs == (not kept)
    assert Job.objects.exists() is kept


def test_the_retention_counts_from_the_end_and_not_from_the_enqueue():
    job = make_job(State.SUCCEEDED, enqueued_at=ago(days=400), finished_at=ago(days=1))

    assert prune(RETENTION).jobs == 0
    assert Job.objects.get() == job


@pytest.mark.parametrize("state", [State.BLOCKED, State.SCHEDULED, State.READY, State.RUNNING])
def test_what_has_not_ended_is_kept_however_old(state):
    make_job(state, enqueued_at=ago(days=4_000), ready_at=ago(days=4_000))

    assert prune(RETENTION).jobs == 0
    assert Job.objects.exists()


def test_a_state_without_a_retention_is_kept_for_ever():
    make_ended(State.DEAD, 4_000)
    make_ended(State.SUCCEEDED, 4_000)

    assert prune(RETENTION | {State.DEAD: None}).jobs == 1
    assert Job.objects.get().state == State.DEAD


def test_no_retention_at_all_deletes_nothing():
    make_ended(State.SUCCEEDED, 4_000)

    assert prune(dict.fromkeys(RETENTION)) == prune_module.PruneResult(jobs=0, next_id=None)
    assert Job.objects.exists()


def test_attempts_and_dead_letters_are_deleted_with_their_job():
    dead = make_ended(State.DEAD, 100)
    kept = make_ended(State.DEAD, 10)
    for job in (dead, kept):
        make_attempt(job)
        make_letter(job)

    prune(RETENTION)

    assert [attempt.job_id for attempt in Attempt.objects.all()] == [kept.pk]
    assert [letter.job_id for letter in DeadLetter.objects.all()] == [kept.pk]


def test_a_prune_continues_behind_the_previous_one(monkeypatch):
    monkeypatch.setattr(prune_module, "ROWS_PER_WINDOW", 2)
    jobs = [make_ended(State.SUCCEEDED, 10) for _ in range(5)]

    first = prune(RETENTION, windows=1)
    assert first == prune_module.PruneResult(jobs=2, next_id=jobs[1].pk)
    second = prune(RETENTION, start_id=first.next_id, windows=1)
    assert second == prune_module.PruneResult(jobs=2, next_id=jobs[3].pk)
    assert prune(RETENTION, start_id=second.next_id, windows=1) == prune_module.PruneResult(jobs=1, next_id=None)
    assert not Job.objects.exists()


def test_a_prune_without_a_bound_reaches_the_end(monkeypatch):
    monkeypatch.setattr(prune_module, "ROWS_PER_WINDOW", 2)
    for _ in range(7):
        make_ended(State.SUCCEEDED, 10)
        make_job(enqueued_at=ago(days=10))

    assert prune(RETENTION) == prune_module.PruneResult(jobs=7, next_id=None)


def test_a_prune_stops_at_jobs_too_young_to_have_ended_long_ago(monkeypatch, django_assert_max_num_queries):
    monkeypatch.setattr(prune_module, "ROWS_PER_WINDOW", 2)
    make_ended(State.SUCCEEDED, 10)
    for _ in range(20):
        make_job(State.SUCCEEDED)

    with django_assert_max_num_queries(9):
        assert prune(RETENTION) == prune_module.PruneResult(jobs=1, next_id=None)


def test_a_job_with_a_longer_retention_does_not_stop_the_prune(monkeypatch):
    monkeypatch.setattr(prune_module, "ROWS_PER_WINDOW", 2)
    for _ in range(3):
        make_ended(State.DEAD, 10)
    cancelled = make_ended(State.CANCELLED, 2)

    prune(RETENTION)

    assert not Job.objects.filter(pk=cancelled.pk).exists()


def test_a_job_redriven_during_the_prune_is_kept(monkeypatch):
    job = make_ended(State.DEAD, 100)
    lock = prune_module.lock_deletable

    def redriven_just_before(*args, **kwargs):
        Job.objects.filter(pk=job.pk).update(state=State.READY, ready_at=ago(seconds=0))
        return lock(*args, **kwargs)

    monkeypatch.setattr(prune_module, "lock_deletable", redriven_just_before)

    assert prune(RETENTION).jobs == 0
    assert job.refresh().state == State.READY


def test_rows_of_workers_that_ended_long_ago_are_deleted():
    for state in Worker.State:
        make_worker(state=state, heartbeat_at=ago(days=31), hostname=f"old {state}")
        make_worker(state=state, heartbeat_at=ago(days=29), hostname=f"new {state}")

    prune_records(RETENTION, alerted_for=timedelta(days=1))

    left = set(Worker.objects.filter(hostname__startswith="old").values_list("state", flat=True))
    assert left == {Worker.State.RUNNING, Worker.State.STOPPING}
    assert Worker.objects.filter(hostname__startswith="new").count() == 4


def test_a_lost_worker_whose_claims_are_not_rescued_yet_is_kept():
    worker = make_worker(state="lost", heartbeat_at=ago(days=31))
    make_job(State.RUNNING, worker=worker)

    prune_records(RETENTION, alerted_for=timedelta(days=1))

    assert Worker.objects.get() == worker


def test_dead_letters_without_a_job_are_kept_as_long_as_dead_jobs():
    for days in (89, 91):
        letter = make_letter(died_at=ago(days=days))
        DeadLetter.objects.filter(pk=letter.pk).update(job=None)
    with_job = make_letter(died_at=ago(days=91))

    assert prune_records(RETENTION, alerted_for=timedelta(days=1)) == 1

    assert DeadLetter.objects.count() == 2
    assert DeadLetter.objects.filter(pk=with_job.pk).exists()


def test_alert_history_is_kept_for_twice_its_period():
    make_alerted_error(fingerprint="a", alerted_at=ago(hours=47))
    make_alerted_error(fingerprint="b", alerted_at=ago(hours=49))

    assert prune_records(RETENTION, alerted_for=timedelta(days=1)) == 1
    assert AlertHistory.objects.get().fingerprint == "a"


def test_ticks_are_deleted_window_by_window_up_to_the_first_young_one(monkeypatch):
    monkeypatch.setattr(prune_module, "ROWS_PER_WINDOW", 2)
    row = make_schedule(next_due_at=None)
    ticks = [make_tick(row, due_at=ago(days=day), decided_at=ago(days=day)) for day in (9, 8, 7, 6, 5, 1)]
    Tick.objects.filter(pk=ticks[1].pk).update(is_open=True)

    assert prune_ticks(None) == 0
    assert prune_ticks(timedelta(days=4)) == 4
    assert set(Tick.objects.all()) == {ticks[1], ticks[5]}
    assert prune_ticks(timedelta(days=4)) == 0
