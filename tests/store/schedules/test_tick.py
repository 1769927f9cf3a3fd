"""Ticks: each due one fires exactly one job, however many schedulers run and whatever is killed in between."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import IntegrityError, connection, transaction

from django_jobs.exceptions import ConfigurationError
from django_jobs.models import CronSchedule, Job, Tick
from django_jobs.policy.states import State
from django_jobs.store.clock import database_now
from django_jobs.store.schedules.tick import run_schedule, seconds_until_next_check, tick
from tests.concurrency import Background, elsewhere, run_together
from tests.crashing import crash_at_every_point
from tests.factories import ago, make_job, make_schedule, make_tick, make_worker, take

pytestmark = pytest.mark.django_db(transaction=True)

needs_row_locks = pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite has one writer at a time")
MINUTE = timedelta(minutes=1)


def outcomes(schedule: CronSchedule | None = None) -> list[str]:
    ticks = Tick.objects.all() if schedule is None else Tick.objects.filter(schedule=schedule)
    return list(ticks.order_by("due_at").values_list("outcome", flat=True))


def is_due_again(schedule: CronSchedule) -> CronSchedule:
    """Make the schedule due again, as if its next time had come."""
    now = database_now()
    CronSchedule.objects.filter(pk=schedule.pk).update(next_due_at=now, next_check_at=now)
    schedule.refresh_from_db()
    return schedule


def test_what_is_due_fires_one_job_and_is_due_again_at_its_next_time() -> None:
    schedule = make_schedule(arguments={"region": "us"}, queue_name="mail", priority=7, max_attempts=2, cron="@hourly")
    ticked = tick()
    assert (ticked.fired, ticked.full) == (1, False)
    one, job = Tick.objects.get(), Job.objects.get()
    assert (one.outcome, one.job_id, one.due_at) == ("fired", job.pk, schedule.next_due_at)
    assert timedelta(0) <= one.late_by == ticked.max_lateness
    assert (job.name, job.arguments, job.queue_name) == (schedule.job_name, {"region": "us"}, "mail")
    assert (job.priority, job.max_attempts, job.state) == (7, 2, "ready")
    assert job.metadata == {"schedule": schedule.name, "due_at": one.due_at.isoformat()}
    schedule.refresh_from_db()
    assert schedule.next_due_at is not None
    assert timedelta(0) < schedule.next_due_at - database_now() <= timedelta(hours=1)
    assert schedule.next_due_at.minute == schedule.next_due_at.second == 0
    assert tick().fired == 0
    assert Job.objects.count() == 1


def test_what_is_not_due_or_may_not_fire_is_left_alone() -> None:
    make_schedule("later", next_due_at=database_now() + MINUTE)
    make_schedule("stopped", next_due_at=None)
    assert tick() == tick()._replace(fired=0)
    assert not Tick.objects.exists()


def test_how_long_until_there_is_something_to_do() -> None:
    assert seconds_until_next_check() is None
    make_schedule("later", next_due_at=database_now() + MINUTE)
    left = seconds_until_next_check()
    assert left is not None
    assert 50 < left <= 60
    make_schedule("now")
    assert seconds_until_next_check() == 0


def test_many_schedules_fire_round_by_round_in_bounded_statements(
    django_assert_max_num_queries: object,
) -> None:
    now = database_now()
    CronSchedule.objects.bulk_create(
        CronSchedule(
            name=f"s{number}",
            job_name="x",
            queue_name="q",
            max_attempts=1,
            cron="@yearly",  # a minute may turn within the test
            arguments={"n": number},
            next_due_at=now,
            next_check_at=now,
        )
        for number in range(250)
    )
    with django_assert_max_num_queries(16):  # type: ignore[operator]  # pytest-django's fixture
        assert tick(limit=100)[:1] == (100,)
    assert tick(limit=100).full
    assert tick(limit=100)._replace(max_lateness=MINUTE) == (50, 0, 0, 0, (), MINUTE, False, 50)
    assert sorted(job.arguments["n"] for job in Job.objects.all()) == list(range(250))
    by_schedule = {tick.job_id: tick.schedule.name for tick in Tick.objects.select_related("schedule")}
    assert all(by_schedule[job.pk] == f"s{job.arguments['n']}" for job in Job.objects.all())


@pytest.mark.parametrize(
    ("catch_up", "expected"),
    [
        ("latest", ["missed"] * 4 + ["fired"]),
        ("all", ["missed"] * 2 + ["fired"] * 3),
        ("none", ["missed"] * 5),
    ],
)
def test_what_was_missed_is_recorded_and_caught_up_with(catch_up: str, expected: list[str]) -> None:
    # A period of some 75 minutes of which a multiple was half an hour ago, and four more before.
    number = 400_000
    every = (ago(minutes=30) - datetime(1970, 1, 1, tzinfo=UTC)) // number
    first = datetime(1970, 1, 1, tzinfo=UTC) + every * (number - 4)
    schedule = make_schedule(catch_up=catch_up, catch_up_limit=3, overlap="allow", next_due_at=first, every=every)
    tick()
    assert outcomes(schedule) == expected
    for missed in Tick.objects.filter(outcome="missed"):
        assert "no scheduler was running" in missed.reason
    assert Job.objects.count() == expected.count("fired")


class TestOverlap:
    """The last job has not ended when the next tick is due."""

    @pytest.mark.parametrize("state", [State.READY, State.SCHEDULED, State.RUNNING])
    def test_skip_records_the_reason_and_continues(self, state: State) -> None:
        schedule = make_schedule(overlap="skip")
        job = make_job(state)
        make_tick(schedule, job=job, is_open=True, due_at=ago(hours=1))
        assert tick().skipped == 1
        newest = Tick.objects.latest("due_at")
        assert (newest.outcome, newest.reason) == ("skipped", f"job {job.pk} has not ended")
        assert Job.objects.count() == 1

    @pytest.mark.parametrize("state", [State.SUCCEEDED, State.DEAD, State.CANCELLED])
    def test_an_ended_job_does_not_overlap(self, state: State) -> None:
        schedule = make_schedule(overlap="skip")
        make_tick(schedule, job=make_job(state), is_open=True, due_at=ago(hours=1))
        assert tick().fired == 1
        assert Tick.objects.filter(is_open=True).count() == 1

    def test_a_purged_job_does_not_overlap(self) -> None:
        make_tick(make_schedule(overlap="skip"), job_id=4711, is_open=True, due_at=ago(hours=1))
        assert tick().fired == 1

    def test_allow_fires_anyway(self) -> None:
        schedule = make_schedule(overlap="allow")
        assert tick().fired == 1
        is_due_again(schedule)
        assert tick().fired == 1
        assert Job.objects.filter(state="ready").count() == 2

    def test_queue_has_one_wait_and_fires_it_when_the_job_has_ended(self) -> None:
        schedule = make_schedule(overlap="queue")
        tick()
        first = Job.objects.get()
        assert tick().waiting == 0
        is_due_again(schedule)
        assert tick().waiting == 1
        schedule = is_due_again(schedule)
        assert tick().skipped == 1
        assert outcomes() == ["fired", "waiting", "skipped"]
        schedule.refresh_from_db()
        assert schedule.next_check_at is not None
        assert schedule.next_check_at - database_now() <= timedelta(seconds=1)
        CronSchedule.objects.update(next_check_at=database_now())
        assert tick().fired == 0
        Job.objects.filter(pk=first.pk).update(state="succeeded")
        CronSchedule.objects.update(next_check_at=database_now())
        assert tick().fired == 1
        assert outcomes() == ["fired", "fired", "skipped"]
        second = Job.objects.exclude(pk=first.pk).get()
        assert Tick.objects.get(job=second).reason == ""
        schedule.refresh_from_db()
        assert schedule.next_check_at == schedule.next_due_at

    def test_what_waits_fires_also_where_overlapping_was_allowed_meanwhile(self) -> None:
        schedule = make_schedule(overlap="queue")
        make_tick(schedule, outcome="waiting", is_open=True, due_at=ago(hours=1))
        CronSchedule.objects.update(overlap="allow", next_due_at=database_now() + MINUTE)
        assert tick().fired == 1
        assert outcomes() == ["fired"]
        assert Tick.objects.get().job_id == Job.objects.get().pk

    def test_replace_cancels_waiting_jobs_and_requests_cancellation_of_running_ones(self) -> None:
        schedule = make_schedule(overlap="replace")
        waiting, running = make_job(State.READY), make_job(State.RUNNING)
        make_tick(schedule, job=waiting, is_open=True, due_at=ago(hours=2))
        make_tick(schedule, job=running, is_open=True, due_at=ago(hours=1))
        assert tick().fired == 1
        assert waiting.refresh().state == "cancelled"
        assert running.refresh().state == "running"
        assert running.cancel_requested_at is not None
        assert Job.objects.filter(state="ready").count() == 1

    def test_one_schedule_does_not_block_another(self) -> None:
        busy, free = make_schedule("busy"), make_schedule("free")
        make_tick(busy, job=make_job(State.RUNNING), is_open=True, due_at=ago(hours=1))
        tick()
        assert outcomes(busy) == ["fired", "skipped"]
        assert outcomes(free) == ["fired"]


class TestRunNow:
    def test_it_fires_and_leaves_the_schedules_own_times(self) -> None:
        later = database_now() + timedelta(hours=1)
        schedule = make_schedule(next_due_at=later)
        made = run_schedule(schedule, by="ada")
        assert (made.outcome, made.reason) == ("fired", "")
        assert Job.objects.get().pk == made.job_id
        assert Tick.objects.get().requested_by == "ada"
        schedule.refresh_from_db()
        assert schedule.next_due_at == later

    def test_a_waiting_manual_tick_does_not_block_due_ones(self) -> None:
        schedule = make_schedule(overlap="queue")
        make_tick(schedule, job=make_job(State.RUNNING), is_open=True, due_at=ago(hours=1))
        assert run_schedule(schedule).outcome == "waiting"
        assert seconds_until_next_check() == 0

    @pytest.mark.parametrize("overlap", ["skip", "allow", "queue", "replace"])
    def test_concurrent_manual_and_scheduled_ticks_are_each_decided_once(self, overlap: str) -> None:
        rows = [make_schedule(f"s{number}", overlap=overlap) for number in range(6)]

        def by_hand() -> None:
            for row in rows:
                run_schedule(row, by="ada")

        run_together(by_hand, by_hand, tick, tick)
        tick()
        assert Tick.objects.filter(requested_by="").count() == 6
        assert Tick.objects.filter(requested_by="ada").count() == 12
        fired = Tick.objects.filter(outcome="fired").values_list("job", flat=True)
        assert sorted(fired) == sorted(Job.objects.values_list("pk", flat=True))
        assert (Job.objects.count() == 6) == (overlap in {"skip", "queue"})

    def test_a_paused_schedule_can_be_run_too(self) -> None:
        schedule = make_schedule(paused_at=database_now(), next_due_at=None)
        assert run_schedule(schedule).outcome == "fired"
        schedule.refresh_from_db()
        assert not schedule.is_firing

    def test_it_overlaps_as_any_tick_does(self) -> None:
        schedule = make_schedule(overlap="skip", next_due_at=database_now() + MINUTE)
        first = run_schedule(schedule)
        second = run_schedule(schedule)
        assert (second.outcome, second.reason) == ("skipped", f"job {first.job_id} has not ended")

    @pytest.mark.parametrize("fields", [{"disabled_at": datetime(2026, 1, 1, tzinfo=UTC)}, {"problem": "no such job"}])
    def test_running_a_schedule_that_cannot_fire_is_an_error(self, fields: dict[str, object]) -> None:
        with pytest.raises(ConfigurationError, match=r"no such job|no code defines it"):
            run_schedule(make_schedule(next_due_at=None, **fields))
        assert not Job.objects.exists()

    def test_running_a_deleted_schedule_is_an_error(self) -> None:
        schedule = make_schedule()
        CronSchedule.objects.all().delete()
        with pytest.raises(ConfigurationError, match="it was deleted"):
            run_schedule(schedule)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"cron": "61 * * * *"}, "expected a cron expression"),
        ({"cron": "0 0 30 2 *"}, "expected an expression that fires some day"),
        ({"cron": "0 0 30 2 *", "next_due_at": None}, "expected an expression that fires some day"),
        ({"timezone": "Europe/Berln"}, "Europe/Berln"),
        ({"priority": 1000}, "priority: expected -100 to 100, got 1000"),
        ({"max_attempts": 0}, "max_attempts"),
        ({"arguments": [1]}, "arguments: expected a JSON object, got list"),
        ({"arguments": {"text": "x" * 1_000_001}}, "MAX_PAYLOAD_BYTES"),
        ({"overlap": "perhaps"}, "perhaps"),
        ({"catch_up": "some"}, "some"),
        ({"catch_up_limit": 0}, "catch_up_limit: expected a whole number"),
        ({"every": timedelta(0)}, "every: expected a period from 1 second"),
        ({"every": timedelta(microseconds=1)}, "every: expected a period from 1 second"),
        ({"every": timedelta(seconds=-10)}, "every: expected a period from 1 second"),
        ({"cron": "", "every": None}, "expected either cron or every, got neither"),
        ({"cron": "* * * * *", "every": timedelta(seconds=10)}, "expected either cron or every, got both"),
        ({"jitter": timedelta(days=-1)}, "jitter: expected from zero"),
        ({"jitter": timedelta(days=-1), "next_due_at": database_now}, "jitter: expected from zero"),
        ({"next_due_at": datetime(1, 1, 1, tzinfo=UTC)}, "out of range"),
        (
            {"cron": "", "every": timedelta(days=999_999)},
            "every: expected a period from 1 second to 10 years",
        ),
    ],
)
def test_an_invalid_row_gets_a_problem_and_the_others_fire(fields: dict[str, object], problem: str) -> None:
    fields = {name: value() if callable(value) else value for name, value in fields.items()}
    bad = make_schedule("bad", **{"next_check_at": database_now(), **fields})
    good = make_schedule("good")
    ticked = tick()
    assert ticked.fired == 1
    assert len(ticked.problems) == 1
    bad.refresh_from_db()
    assert not bad.is_firing
    assert problem in bad.problem
    assert outcomes(bad) == []
    assert outcomes(good) == ["fired"]
    assert tick().fired == 0


def test_a_tick_that_exists_already_is_not_fired_again() -> None:
    """For example, the row was restored from a backup: its next time is before its newest tick."""
    schedule = make_schedule()
    assert schedule.next_due_at is not None
    make_tick(schedule, due_at=schedule.next_due_at)
    ticked = tick()
    assert (ticked.fired, Job.objects.count(), Tick.objects.count()) == (0, 0, 1)
    schedule.refresh_from_db()
    assert schedule.is_firing


def test_a_round_that_is_rolled_back_leaves_nothing() -> None:
    make_schedule()
    with transaction.atomic():
        tick()
        transaction.set_rollback(True)
    assert not Job.objects.exists()
    assert tick().fired == 1


@pytest.mark.parametrize("overlap", ["skip", "allow", "queue", "replace"])
def test_concurrent_schedulers_fire_each_tick_once(overlap: str) -> None:
    for number in range(40):
        make_schedule(f"s{number}", overlap=overlap, cron="@yearly")  # the hour may turn within the test
    ticked = run_together(*[lambda: tick(limit=15)] * 4)
    ticked += [tick()]
    assert sum(tick.fired for tick in ticked) == 40
    assert Job.objects.count() == Tick.objects.count() == 40


@needs_row_locks
def test_a_schedule_locked_by_another_scheduler_blocks_no_other() -> None:
    held = make_schedule("held")
    make_schedule("free")
    with elsewhere(lambda: CronSchedule.objects.select_for_update().get(pk=held.pk)):
        assert tick().fired == 1
        assert outcomes(held) == []
    assert tick().fired == 1
    assert outcomes(held) == ["fired"]


@needs_row_locks
def test_the_unique_tick_lets_one_through_where_locks_do_not_help() -> None:
    """Two that decided on the same tick, by a bug or a lock that was lost: one of them rolls back whole."""
    schedule = make_schedule()
    due_at = schedule.next_due_at
    assert due_at is not None
    inserted, decided = threading.Event(), threading.Event()

    def other() -> None:
        with transaction.atomic():
            make_tick(schedule, due_at=due_at)
            inserted.set()
            assert decided.wait(30)

    background = Background(other)
    assert inserted.wait(30)

    def release_once_waiting(execute, sql, params, many, context):  # type: ignore[no-untyped-def]
        if "INSERT INTO" in sql and "django_jobs_tick" in sql:
            decided.set()
        return execute(sql, params, many, context)

    with connection.execute_wrapper(release_once_waiting), pytest.raises(IntegrityError):
        tick()
    background.result()
    assert Job.objects.count() == 0
    assert Tick.objects.count() == 1
    assert tick().fired == 0


@pytest.mark.slow
def test_a_kill_between_any_two_statements_loses_and_doubles_no_tick() -> None:
    def prepare() -> None:
        for model in (Tick, CronSchedule, Job):
            model.objects.all()._raw_delete("default")
        for number in range(3):
            make_schedule(f"s{number}", overlap="queue")

    points = 0
    for _, _ in crash_at_every_point(prepare, lambda _: tick()):
        assert Job.objects.count() == Tick.objects.count()
        assert Job.objects.count() in {0, 3}
        tick()
        assert Job.objects.count() == Tick.objects.count() == 3
        assert len(take(make_worker())) == 3
        points += 1
    assert points > 5
