"""``jobs import-celery-beat``: each entry becomes a schedule or a job, once, or is left with the reason."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import modify_settings, override_settings
from django.utils import timezone

from django_jobs import registry
from django_jobs.builtin_jobs import end_schedule, start_schedule
from django_jobs.contrib.celery import catalog, shared_task
from django_jobs.contrib.celery_beat.importing import import_entries
from django_jobs.functions import discovery
from django_jobs.models import CronSchedule, Job
from django_jobs.policy.states import State
from django_jobs.testing import drain, fire, run_job
from django_jobs.worker.duties.scheduler import sync_code_schedules

from .jobs import PREFIX

pytest.importorskip("django_celery_beat", reason="needs Celery, and a Django below 6.1")
pytestmark = pytest.mark.django_db(transaction=True)
LATER = datetime(2090, 1, 2, 3, 4, tzinfo=UTC)


@pytest.fixture(scope="module")
def _models(django_db_setup: None, django_db_blocker: Any) -> Iterator[SimpleNamespace]:
    """Their models, with the tables that they need, made once: DDL is slow."""
    with django_db_blocker.unblock(), modify_settings(INSTALLED_APPS={"append": "django_celery_beat"}):
        found = list(apps.get_app_config("django_celery_beat").get_models())
        with connection.schema_editor() as editor:
            for model in found:
                editor.create_model(model)
        try:
            yield SimpleNamespace(**{model.__name__: model for model in found})
        finally:
            for model in found:
                if admin.site.is_registered(model):  # as their app did when it was installed
                    admin.site.unregister(model)
            with connection.schema_editor() as editor:
                for model in reversed(found):
                    editor.delete_model(model)


@pytest.fixture
def models(_models: SimpleNamespace) -> Iterator[SimpleNamespace]:
    """Their models, and no entries of another test."""
    yield _models
    _models.PeriodicTask.objects.all().delete()


def entry(models: SimpleNamespace, name: str = "entry", task: str = "report", **values: Any) -> Any:
    """Make an entry as their admin does; every hour unless it is given a time."""
    if not {"crontab", "interval", "clocked", "solar"} & set(values):
        values["interval"] = models.IntervalSchedule.objects.get_or_create(every=1, period="hours")[0]
    if task == "report":
        values.setdefault("kwargs", '{"shop": 7}')
    return models.PeriodicTask.objects.create(name=name, task=PREFIX + task, **values)


def crontab(models: SimpleNamespace, **fields: str) -> Any:
    return models.CrontabSchedule.objects.create(**fields)


def test_a_crontab_is_a_schedule_in_its_zone_that_fires(models: SimpleNamespace) -> None:
    times = crontab(models, minute="0, 30", hour="9", day_of_week="mon-fri", timezone="Europe/Berlin")
    entry(models, "weekdays", crontab=times, args="[7]", kwargs='{"kind": "weekly"}')

    imported = import_entries()

    schedule = CronSchedule.objects.get()
    assert imported.schedules == ["weekdays"]
    assert (schedule.job_name, schedule.arguments) == (f"{PREFIX}report", {"shop": 7, "kind": "weekly"})
    assert (schedule.cron, schedule.timezone, schedule.status) == ("0,30 9 * * 1-5", "Europe/Berlin", "active")
    assert schedule.next_due_at is not None
    sync_code_schedules(using="default", started=0.0)
    schedule.refresh_from_db()
    assert (schedule.status, schedule.problem) == ("active", "")


def test_an_interval_is_a_schedule_and_a_disabled_one_is_paused(models: SimpleNamespace) -> None:
    entry(models, "hourly", enabled=False)

    import_entries()

    schedule = CronSchedule.objects.get()
    assert (schedule.every, schedule.status, schedule.paused_by) == (timedelta(hours=1), "paused", "import-celery-beat")


def test_a_schedule_starts_and_ends_when_the_entry_says_so(models: SimpleNamespace) -> None:
    entry(models, start_time=LATER, expires=LATER + timedelta(days=7))

    imported = import_entries()

    def status() -> str:
        return str(CronSchedule.objects.get().status)

    begin, end = Job.objects.order_by("run_after")
    assert (imported.schedules, status()) == (["entry"], "paused")
    assert (begin.run_after, end.run_after) == (LATER, LATER + timedelta(days=7))
    run_job(start_schedule.s(**begin.arguments))
    assert status() == "active"
    run_job(end_schedule.s(**end.arguments))
    assert status() == "paused"


def test_options_that_are_the_jobs_own_are_kept(models: SimpleNamespace) -> None:
    entry(models, task="mailing", queue="mails", priority=7, expire_seconds=120)

    import_entries()

    schedule = CronSchedule.objects.get()
    assert (schedule.queue_name, schedule.priority, schedule.expires) == ("mails", 7, timedelta(minutes=2))


def test_a_clocked_entry_is_a_job_that_is_due_then(models: SimpleNamespace) -> None:
    clocked = models.ClockedSchedule.objects.create(clocked_time=LATER)
    entry(models, "once", clocked=clocked, one_off=True, queue="slow", priority=3, expire_seconds=60)

    imported = import_entries()

    job = Job.objects.get()
    assert (imported.jobs, job.state, job.run_after) == (["once"], State.SCHEDULED, LATER)
    assert (job.queue_name, job.priority, job.expires_at) == ("slow", 3, LATER + timedelta(minutes=1))
    assert job.arguments == {"shop": 7}


def test_a_clocked_time_that_is_past_is_due_at_once(models: SimpleNamespace) -> None:
    clocked = models.ClockedSchedule.objects.create(clocked_time=timezone.now() - timedelta(days=1))
    entry(models, clocked=clocked, one_off=True)

    import_entries()

    drain()
    assert Job.objects.get().state == State.SUCCEEDED


def test_a_one_off_entry_is_a_job_at_its_next_time_from_its_start(models: SimpleNamespace) -> None:
    times = crontab(models, minute="0", hour="4", timezone="UTC")
    entry(models, crontab=times, one_off=True, start_time=LATER)

    import_entries()

    assert Job.objects.get().run_after == datetime(2090, 1, 2, 4, 0, tzinfo=UTC)


def test_a_task_of_the_celery_layer_is_a_job_as_any_other(
    models: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_definitions", dict(registry._definitions))
    monkeypatch.setattr(catalog, "_tasks", dict(catalog._tasks))
    monkeypatch.setattr(discovery, "undiscovered", dict(discovery.undiscovered))
    name = f"{PREFIX}shared"
    called: list[tuple[int, str]] = []

    @shared_task(name=name)
    def shared(shop: int, kind: str = "daily") -> None:
        called.append((shop, kind))

    entry(models, "hourly", task="shared", args="[7]")
    entry(models, "once", task="shared", args="[8]", kwargs='{"kind": "weekly"}', one_off=True)
    with override_settings(DJANGO_JOBS={"SCHEDULABLE": [name]}):
        imported = import_entries()
        fire(CronSchedule.objects.get().name)
        drain(run_scheduled=True)

    assert (imported.schedules, imported.jobs, imported.left) == (["hourly"], ["once"], {})
    assert sorted(called) == [(7, "daily"), (8, "weekly")]


def test_a_second_import_changes_nothing(models: SimpleNamespace) -> None:
    entry(models, "hourly")
    entry(models, "next", one_off=True)
    entry(models, "then", one_off=True, clocked=models.ClockedSchedule.objects.create(clocked_time=LATER))
    import_entries()
    CronSchedule.objects.update(cron="0 5 * * *", every=None)  # staff have changed it meanwhile
    before = list(CronSchedule.objects.values()), sorted(Job.objects.values_list("pk", flat=True))

    imported = import_entries()

    assert (imported.schedules, imported.jobs, imported.present) == ([], [], ["hourly", "next", "then"])
    assert (list(CronSchedule.objects.values()), sorted(Job.objects.values_list("pk", flat=True))) == before


def test_a_dry_run_says_the_same_and_changes_nothing(models: SimpleNamespace) -> None:
    entry(models, "hourly")
    entry(models, "next", one_off=True)

    imported = import_entries(dry_run=True)

    assert (imported.schedules, imported.jobs) == (["hourly"], ["next"])
    assert not CronSchedule.objects.exists()
    assert not Job.objects.exists()


def test_what_cannot_be_said_is_left_by_name_with_the_reason(models: SimpleNamespace) -> None:
    solar = models.SolarSchedule.objects.create(event="sunrise", latitude=52, longitude=13)
    often = models.IntervalSchedule.objects.create(every=500, period="microseconds")
    friday_13 = crontab(models, minute="0", hour="0", day_of_month="13", day_of_week="fri")
    for name, values in {
        "arguments": {"kwargs": '{"shop": 7, "colour": "red"}'},
        "both days": {"crontab": friday_13},
        "headers": {"headers": '{"tenant": "a"}'},
        "internal": {"task": "internal"},
        "internal once": {"task": "internal", "one_off": True},
        "never": {"crontab": crontab(models, day_of_month="31", month_of_year="2"), "one_off": True},
        "no json": {"args": "[7, 'hunter2'"},
        "no list": {"args": '{"password": "hunter2"}'},
        "often": {"interval": often},
        "queue": {"queue": "slow"},
        "solar": {"solar": solar},
        "unknown": {"task": "nowhere"},
        "unknown once": {"task": "nowhere", "one_off": True},
    }.items():
        entry(models, name, **values)

    imported = import_entries()

    expected = {
        "arguments": "colour",
        "both days": "must both match in Celery",
        "headers": "headers: schedules have none",
        "internal": "may not be scheduled by staff",
        "internal once": "may not be scheduled by staff",
        "never": "fires some day",
        "no json": "args: expected a JSON list",
        "no list": "args: expected a JSON list, got dict",
        "often": "every: expected a period from 1 second",
        "queue": "queue_name: a schedule has that of its job, 'default', and this entry 'slow'",
        "solar": "solar: schedules here follow the clock",
        "unknown": "is not registered",
        "unknown once": "nowhere",
    }
    assert list(imported.left) == list(expected)
    for name, text in expected.items():
        assert text in imported.left[name], name
    assert "hunter2" not in str(imported.left)
    assert (imported.schedules, imported.jobs, imported.present) == ([], [], [])


def test_what_is_over_is_not_needed(models: SimpleNamespace) -> None:
    entry(models, "done", one_off=True, enabled=False)
    entry(models, "ended", expires=timezone.now() - timedelta(days=1))
    hour = models.IntervalSchedule.objects.first()
    models.PeriodicTask.objects.create(name="cleanup", task="celery.backend_cleanup", interval=hour)

    imported = import_entries()

    assert list(imported.not_needed) == ["cleanup", "done", "ended"]
    assert imported.left == {}


def test_a_name_that_is_taken_by_another_job_is_left(models: SimpleNamespace) -> None:
    entry(models, "hourly")
    import_entries()
    models.PeriodicTask.objects.update(task=f"{PREFIX}mailing", kwargs="{}")

    assert f"for the job '{PREFIX}report'" in import_entries().left["hourly"]


def run(*arguments: str) -> tuple[str, int]:
    """Return the output and the exit code of the command."""
    out = StringIO()
    try:
        call_command("jobs", "import-celery-beat", *arguments, stdout=out)
    except SystemExit as end:
        return out.getvalue(), int(str(end.code))
    return out.getvalue(), 0


def test_the_command_says_what_is_left_and_exits_with_1(models: SimpleNamespace) -> None:
    entry(models, "hourly")
    assert run("--dry-run") == ("1 schedule and 0 jobs would be made; 0 here already\n", 0)
    entry(models, "unknown", task="nowhere")

    text, code = run()

    assert code == 1
    assert text.startswith("1 schedule and 0 jobs made; 0 here already\nleft: unknown: job ")
    found, _ = run("--json")
    assert (json.loads(found)["present"], list(json.loads(found)["left"])) == (["hourly"], ["unknown"])


def test_a_database_without_the_tables_is_named() -> None:
    with pytest.raises(CommandError, match="expected an alias of DATABASES, got 'attic'"):
        run("--database", "attic")
