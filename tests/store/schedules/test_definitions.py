"""Schedules are saved, paused, resumed and deleted, and synced with the code, also if two versions run side by side."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import override_settings

from django_jobs.conf import project_name
from django_jobs.exceptions import ConfigurationError
from django_jobs.models import CronSchedule, Job, Tick
from django_jobs.policy.overlap import Overlap
from django_jobs.policy.schedule import ScheduleSpec, TickPolicy, Timing
from django_jobs.policy.states import State
from django_jobs.store.clock import database_now
from django_jobs.store.schedules.definitions import (
    SyncResult,
    delete_schedule,
    pause_schedule,
    resume_schedule,
    save_schedule,
    sync_schedules,
)
from django_jobs.store.schedules.tick import run_schedule, tick
from tests.concurrency import run_together
from tests.factories import ago, make_job, make_schedule, make_tick

pytestmark = pytest.mark.django_db(transaction=True)


def spec(name: str = "report", *, tick_policy: TickPolicy | None = None, **timing: Any) -> ScheduleSpec:
    return ScheduleSpec(
        timing=Timing(name=name, **(timing or {"cron": "@daily"})),
        tick_policy=tick_policy or TickPolicy(),
        job_name="tests.sampleapp.jobs.digest",
        arguments={"region": "eu"},
        queue_name="default",
        priority=0,
        max_attempts=5,
    )


def sync(
    *specs: ScheduleSpec, started_at: datetime | None = None, problem: str = "", queue_name: str = "default"
) -> SyncResult:
    def judge(row: CronSchedule) -> ScheduleSpec:
        if problem:
            raise ConfigurationError(problem)
        return replace(
            spec(row.name),
            timing=row.timing,
            tick_policy=row.tick_policy,
            arguments=row.arguments,
            queue_name=queue_name,
        )

    return sync_schedules(specs, judge=judge, started_at=started_at or database_now())


def the(name: str = "report") -> CronSchedule:
    return CronSchedule.objects.get(name=name)


class TestOfStaff:
    def test_a_new_one_does_not_fire_for_the_past(self) -> None:
        row = save_schedule(spec(cron="* * * * *"))
        assert row.next_due_at is not None
        assert timedelta(0) < row.next_due_at - database_now() <= timedelta(minutes=1)
        assert tick().fired == 0
        assert not row.is_from_code

    def test_a_changed_one_keeps_its_history_and_does_not_fire_at_once(self) -> None:
        row = save_schedule(spec(cron="@hourly"))
        make_tick(row, due_at=ago(hours=1))
        CronSchedule.objects.update(next_due_at=ago(minutes=1), next_check_at=ago(minutes=1))
        changed = save_schedule(spec(cron="@daily"), replaces=row)
        assert changed.pk == row.pk
        assert (tick().fired, Tick.objects.count()) == (0, 1)

    def test_other_arguments_leave_the_next_tick_as_it_is(self) -> None:
        row = make_schedule("report", cron="@daily", next_due_at=ago(seconds=1))
        save_schedule(spec(cron="@daily"), replaces=row)
        assert the().next_due_at == row.next_due_at
        assert tick().fired == 1
        assert Job.objects.get().arguments == {"region": "eu"}

    def test_it_can_be_renamed_but_not_to_a_name_that_is_taken(self) -> None:
        row = save_schedule(spec("a"))
        save_schedule(spec("b"))
        with pytest.raises(ConfigurationError, match="there is already a schedule 'b'"):
            save_schedule(spec("b"), replaces=row)
        assert save_schedule(spec("c"), replaces=row).pk == row.pk
        with pytest.raises(ConfigurationError, match="already"):
            save_schedule(spec("c"))

    def test_the_codes_own_is_not_staffs_to_change(self) -> None:
        sync(spec())
        with pytest.raises(ConfigurationError, match="defined in code"):
            save_schedule(spec(), replaces=the())
        with pytest.raises(ConfigurationError, match="defined in code"):
            delete_schedule(the())

    def test_correcting_it_clears_the_problem(self) -> None:
        row = make_schedule("report", problem="no such job", next_due_at=None)
        assert save_schedule(spec(), replaces=row).is_firing
        assert the().problem == ""

    def test_saving_one_that_was_deleted_meanwhile_is_an_error(self) -> None:
        row = save_schedule(spec())
        CronSchedule.objects.all().delete()
        with pytest.raises(ConfigurationError, match="schedule 'report' has been deleted"):
            save_schedule(spec(), replaces=row)

    def test_deleting_takes_its_ticks_and_leaves_its_jobs(self) -> None:
        row, other = make_schedule("report"), make_schedule("other")
        tick()
        delete_schedule(row)
        assert [tick.schedule_id for tick in Tick.objects.all()] == [other.pk]
        assert Job.objects.count() == 2


class TestPause:
    def test_a_paused_one_does_not_fire_and_a_resumed_one_not_for_the_past(self) -> None:
        row = make_schedule("report", cron="@hourly", next_due_at=ago(hours=3))
        assert pause_schedule(row, by="ada") is True
        assert pause_schedule(row, by="bob") is False
        assert (the().paused_by, tick().fired) == ("ada", 0)
        assert resume_schedule(row) is True
        assert resume_schedule(row) is False
        assert tick() == tick()._replace(fired=0, missed=0)
        assert the().is_firing
        assert (the().paused_at, the().paused_by) == (None, "")

    def test_a_change_leaves_it_paused(self) -> None:
        row = make_schedule("report")
        pause_schedule(row)
        save_schedule(spec(), replaces=the())
        assert the().paused_at is not None
        assert not the().is_firing

    def test_resuming_one_with_a_problem_does_not_make_it_fire(self) -> None:
        row = make_schedule("report", problem="no such job", paused_at=ago(hours=1), next_due_at=None)
        resume_schedule(row)
        assert not the().is_firing

    def test_a_sync_leaves_it_paused(self) -> None:
        sync(spec())
        pause_schedule(the())
        sync(spec(cron="@hourly"))
        assert the().cron == "@hourly"
        assert not the().is_firing
        resume_schedule(the())
        assert the().is_firing


class TestWaiting:
    """A tick waits for a job's end while its schedule is changed, or stops firing."""

    @pytest.fixture
    def waiting(self) -> Tick:
        row = make_schedule("report", overlap="queue", next_due_at=database_now() + timedelta(hours=1))
        make_tick(row, due_at=ago(hours=2), job=make_job(State.RUNNING), is_open=True)
        return make_tick(row, due_at=ago(hours=1), outcome="waiting", is_open=True)

    def test_it_fires_soon_after_the_jobs_end_also_if_the_times_were_changed(self, waiting: Tick) -> None:
        save_schedule(spec(cron="@daily", tick_policy=TickPolicy(overlap=Overlap.QUEUE)), replaces=the())
        check_at = the().next_check_at
        assert check_at is not None
        assert check_at - database_now() <= timedelta(seconds=1)
        Job.objects.update(state="succeeded")
        CronSchedule.objects.update(next_check_at=database_now())
        assert tick().fired == 1
        waiting.refresh_from_db()
        assert waiting.outcome == "fired"

    def test_it_is_skipped_if_the_schedule_is_paused(self, waiting: Tick) -> None:
        pause_schedule(the(), by="ada")
        resume_schedule(the())
        Job.objects.update(state="succeeded")
        CronSchedule.objects.update(next_check_at=database_now())
        assert tick().fired == 0
        waiting.refresh_from_db()
        assert (waiting.outcome, waiting.is_open) == ("skipped", False)
        assert waiting.reason == "the schedule was paused while the tick was queued"

    def test_it_is_skipped_if_the_schedule_is_no_longer_defined_in_code(self, waiting: Tick) -> None:
        CronSchedule.objects.update(is_from_code=True)
        sync()
        waiting.refresh_from_db()
        assert (waiting.outcome, waiting.is_open) == ("skipped", False)
        assert "no code defines the schedule any more" in waiting.reason

    def test_it_is_skipped_if_the_schedule_gets_a_problem(self, waiting: Tick) -> None:
        sync(problem="no such job")
        waiting.refresh_from_db()
        assert (waiting.outcome, waiting.is_open) == ("skipped", False)
        assert "no such job" in waiting.reason

    def test_it_is_skipped_if_a_round_finds_a_problem(self, waiting: Tick) -> None:
        CronSchedule.objects.update(cron="61 * * * *", next_check_at=database_now())
        tick()
        waiting.refresh_from_db()
        assert (waiting.outcome, waiting.is_open) == ("skipped", False)
        assert "61 * * * *" in waiting.reason

    def test_nothing_waits_for_one_that_is_paused(self) -> None:
        row = make_schedule("report", overlap="queue")
        tick()
        pause_schedule(row)
        made = run_schedule(the())
        assert (made.outcome, Tick.objects.filter(outcome="waiting").count()) == ("skipped", 0)
        assert made.reason.endswith("has not ended, and ticks are not queued while the schedule is paused")


class TestSync:
    def test_a_schedule_defined_in_code_is_created_and_due_after_now(self) -> None:
        synced = sync(spec("a"), spec("b", every=timedelta(seconds=10), jitter=timedelta(seconds=5)))
        assert synced == SyncResult(["a", "b"], [], [], [], [])
        row = the("b")
        assert row.is_from_code
        assert (row.every, row.jitter, row.arguments) == (
            timedelta(seconds=10),
            timedelta(seconds=5),
            {"region": "eu"},
        )
        assert row.next_due_at is not None
        assert row.next_check_at is not None
        assert row.next_due_at <= row.next_check_at < row.next_due_at + row.jitter
        assert the("a").next_due_at > database_now()  # type: ignore[operator]  # is set

    def test_a_second_one_finds_nothing_to_do_and_writes_nothing_but_its_age(
        self, django_assert_max_num_queries: Any
    ) -> None:
        sync(*[spec(f"s{number}") for number in range(300)])
        before = list(CronSchedule.objects.order_by("pk").values_list("next_due_at", "cron"))
        with django_assert_max_num_queries(6):
            assert sync(*[spec(f"s{number}") for number in range(300)]) == SyncResult([], [], [], [], [])
        assert list(CronSchedule.objects.order_by("pk").values_list("next_due_at", "cron")) == before

    @pytest.mark.parametrize(
        "changed",
        [
            spec(cron="@hourly"),
            spec(cron="@daily", timezone="Europe/Berlin"),
            spec(cron="@daily", jitter=timedelta(seconds=1)),
            spec(every=timedelta(hours=1)),
            spec(tick_policy=TickPolicy(overlap=Overlap.QUEUE)),
            spec(tick_policy=TickPolicy(catch_up_limit=7)),
        ],
    )
    def test_what_has_changed_is_written_and_does_not_fire_at_once(self, changed: ScheduleSpec) -> None:
        sync(spec())
        row = the()
        assert sync(changed).changed == ["report"]
        assert the().pk == row.pk
        assert (the().timing, the().tick_policy) == (changed.timing, changed.tick_policy)
        assert tick().fired == 0

    def test_a_schedule_no_longer_defined_is_disabled_and_its_history_kept(self) -> None:
        sync(spec("a"), spec("b"))
        make_tick(the("a"))
        assert sync(spec("b")).disabled == ["a"]
        assert the("a").disabled_at is not None
        assert not the("a").is_firing
        assert Tick.objects.count() == 1
        assert sync(spec("b")) == SyncResult([], [], [], [], [])
        assert sync(spec("a"), spec("b")).changed == ["a"]
        assert the("a").is_firing
        assert the("a").disabled_at is None

    def test_a_disabled_one_can_be_deleted(self) -> None:
        sync(spec())
        sync()
        delete_schedule(the())
        assert not CronSchedule.objects.exists()

    def test_a_name_of_staff_that_the_code_defines_becomes_the_codes(self) -> None:
        make_schedule("report")
        assert sync(spec()).changed == ["report"]
        assert the().is_from_code

    def test_a_row_of_staff_that_became_invalid_gets_a_problem_until_it_is_corrected(self) -> None:
        make_schedule("report")
        synced = sync(problem="job 'x' is not registered")
        assert synced.problems == ["report: job 'x' is not registered"]
        assert (the().is_firing, the().problem) == (False, "job 'x' is not registered")
        assert sync(problem="job 'x' is not registered") == SyncResult([], [], [], [], [])
        assert sync().changed == ["report"]
        assert the().is_firing
        assert tick().fired == 0

    def test_a_row_of_staff_goes_into_the_queue_that_its_job_has_by_now(self) -> None:
        row = make_schedule("report", next_due_at=ago(seconds=1))
        assert sync(queue_name="mail").changed == ["report"]
        assert (the().queue_name, the().next_due_at, the().is_from_code) == ("mail", row.next_due_at, False)
        assert sync(queue_name="mail") == SyncResult([], [], [], [], [])


class TestVersionsSideBySide:
    def test_the_version_started_last_wins_also_when_the_older_one_syncs_again(self) -> None:
        old, new = ago(hours=2), ago(hours=1)
        sync(spec(cron="@daily"), started_at=old)
        sync(spec(cron="@hourly"), started_at=new)
        assert sync(spec(cron="@daily"), started_at=old) == SyncResult([], [], [], [], [])
        assert the().cron == "@hourly"

    def test_a_schedule_that_the_new_version_removed_stays_disabled(self) -> None:
        old, new = ago(hours=2), ago(hours=1)
        sync(spec(), started_at=old)
        sync(started_at=new)
        sync(spec(), started_at=old)
        assert the().disabled_at is not None

    def test_one_that_the_new_version_added_is_not_disabled_by_the_old(self) -> None:
        old, new = ago(hours=2), ago(hours=1)
        sync(spec(), started_at=new)
        sync(started_at=old)
        assert the().is_firing

    def test_a_job_that_only_the_new_version_knows_is_no_problem_to_the_old(self) -> None:
        old, new = ago(hours=2), ago(hours=1)
        make_schedule("report")
        sync(started_at=new)
        sync(started_at=old, problem="no such job")
        assert the().is_firing

    def test_a_row_just_written_by_staff_is_not_checked_by_workers_started_before(self) -> None:
        save_schedule(spec())
        assert sync(started_at=ago(hours=1), problem="no such job").problems == []
        assert the().is_firing

    def test_a_version_that_agrees_makes_the_row_its_own(self) -> None:
        """Otherwise a late sync of a version in between would undo the changes of the last one."""
        first, between, last = ago(hours=3), ago(hours=2), ago(hours=1)
        sync(spec(cron="@hourly"), started_at=first)
        sync(spec(cron="@hourly"), started_at=last)
        sync(spec(cron="@daily"), started_at=between)
        assert the().cron == "@hourly"

    def test_going_back_to_the_old_version_is_a_new_start(self) -> None:
        sync(spec(cron="@daily"), started_at=ago(hours=2))
        sync(spec(cron="@hourly"), started_at=ago(hours=1))
        sync(spec(cron="@daily"))
        assert the().cron == "@daily"

    @pytest.mark.slow
    def test_processes_that_start_together_make_each_row_once(self) -> None:
        specs = [spec(f"s{number}", every=timedelta(seconds=30)) for number in range(50)]
        run_together(*[lambda: sync(*specs)] * 4)
        assert CronSchedule.objects.count() == 50
        changed = [spec(f"s{number}", every=timedelta(seconds=40)) for number in range(50)]
        run_together(*[lambda: sync(*changed)] * 4)
        assert set(CronSchedule.objects.values_list("every", flat=True)) == {timedelta(seconds=40)}


@contextmanager
def project(*names: str) -> Iterator[None]:
    with override_settings(DJANGO_JOBS={"PROJECT": names}):
        yield


class TestProjects:
    """Two projects on one database."""

    def test_a_project_disables_its_own_schedules_only(self) -> None:
        with project("shop"):
            sync(spec("stock"))
        with project("blog"):
            synced = sync(spec("feed"))
            assert (synced.made, synced.disabled, synced.problems) == (["feed"], [], [])
            sync()
        rows = {row.name: (row.project, row.status) for row in CronSchedule.objects.all()}
        assert rows == {"stock": ("shop", "active"), "feed": ("blog", "disabled")}
        with project("shop"):
            assert sync().disabled == ["stock"]

    def test_another_projects_rows_are_not_even_read_as_seen(self) -> None:
        with project("shop"):
            sync(spec("stock"), started_at=ago(hours=1))
        before = CronSchedule.objects.get().defined_at
        with project("blog"):
            sync(spec("feed"))
        assert CronSchedule.objects.get(name="stock").defined_at == before

    def test_schedules_of_another_projects_staff_are_left_alone(self) -> None:
        with project("shop"):
            row = save_schedule(spec("monthly"))
        with project("blog"):
            assert sync(problem="job is not registered").problems == []
            row.refresh_from_db()
            assert (row.project, row.problem, row.status) == ("shop", "", "active")
        with project("shop"):
            assert sync(problem="job is not registered").problems == ["monthly: job is not registered"]

    def test_a_schedule_belongs_to_the_project_in_which_staff_saved_it_last(self) -> None:
        with project("shop"):
            row = save_schedule(spec("monthly"))
        with project("blog"):
            assert save_schedule(spec("monthly"), replaces=row).project == "blog"

    def test_a_renamed_project_keeps_and_disables_its_schedules(self) -> None:
        with project("shop"):
            sync(spec("stock"), spec("removed"))
            monthly = save_schedule(spec("monthly"))
            tick_at = CronSchedule.objects.get(name="stock").next_due_at
        with project("store", "shop"):
            synced = sync(spec("stock"))
        assert (synced.disabled, synced.taken_over, synced.changed) == (["removed"], [], [])
        assert set(CronSchedule.objects.values_list("project", flat=True)) == {"store"}
        assert CronSchedule.objects.get(name="stock").next_due_at == tick_at
        monthly.refresh_from_db()
        assert monthly.status == "active"

    def test_a_renamed_project_takes_over_what_it_still_defines(self) -> None:
        with project("shop"):
            sync(spec("stock"), spec("removed"))
        with project("store"):
            assert sync(spec("stock", cron="@hourly")).taken_over == ["stock (of shop)"]
            assert sync().disabled == ["stock"]
        rows = {row.name: (row.project, row.status) for row in CronSchedule.objects.all()}
        assert rows == {"stock": ("store", "disabled"), "removed": ("shop", "active")}

    def test_two_schedules_of_one_name_do_not_replace_each_other(self) -> None:
        with project("shop"):
            sync(spec("nightly"))
        with project("blog"):
            synced = sync(replace(spec("nightly"), job_name="blog.nightly"))
            assert synced.problems[0].startswith("nightly: project 'shop' has a schedule of this name")
            assert CronSchedule.objects.get().job_name == spec().job_name
        with project("shop"):
            sync()
        with project("blog"):
            assert sync(replace(spec("nightly"), job_name="blog.nightly")).taken_over == ["nightly (of shop)"]
        assert CronSchedule.objects.get().status == "active"

    @pytest.mark.parametrize(
        ("settings", "expected"),
        [
            ({"ROOT_URLCONF": "blog.urls"}, "blog"),
            ({"ROOT_URLCONF": "blog"}, "blog"),
            ({"ROOT_URLCONF": ""}, "testproject"),
            ({"ROOT_URLCONF": "blog.urls", "DJANGO_JOBS": {"PROJECT": "shop"}}, "shop"),
        ],
    )
    def test_the_project_is_named_by_its_urls_or_settings(self, settings: dict[str, Any], expected: str) -> None:
        with override_settings(**settings):
            assert project_name() == expected

    @pytest.mark.parametrize("wrong", ["", 7, ["shop", ""], "x" * 101])
    def test_a_wrong_name_is_refused(self, wrong: object) -> None:
        with override_settings(DJANGO_JOBS={"PROJECT": wrong}), pytest.raises(ConfigurationError, match="PROJECT"):
            project_name()
