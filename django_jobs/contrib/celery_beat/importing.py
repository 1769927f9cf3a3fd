"""Make schedules and jobs of the rows of django-celery-beat: ``manage.py jobs import-celery-beat``.

::

    crontab, interval   a schedule, as if staff had written it; paused if the row is disabled, or begins later
    its start, its end  a built-in job at that time, which resumes or pauses it
    clocked, one-off    a job that is due at that time
    anything else       left, with the reason

All is one transaction. A name that has a schedule here is passed over, and the id of a row that became a job is kept:
a second import changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction

from ...arguments.serialization import encode
from ...builtin_jobs import end_schedule, start_schedule
from ...conf.readers import MAX_NAME_LENGTH
from ...exceptions import ConfigurationError, JobsError
from ...models import CronSchedule
from ...policy.celery_crontab import to_cron
from ...policy.cron import CronError
from ...policy.schedule import ScheduleSpec, TickPolicy, Timing
from ...registry import DefinedJob
from ...schedules import check_stored_arguments, get_schedulable_job, spec_of
from ...store.clock import database_now
from ...store.dialects import open_dialect
from ...store.enqueue.foreign_ids import find_foreign_ids, save_foreign_ids
from ...store.schedules.definitions import pause_schedule, save_schedule
from .tables import Entry, PeriodicTask, read_entries

QUEUE = "django_celery_beat"
ACTOR = "import-celery-beat"
CLEANUP = "celery.backend_cleanup"


@dataclass(slots=True, kw_only=True)
class Imported:
    """Names of entries: made schedules, made jobs, here already, not needed (by reason), and left (by reason)."""

    schedules: list[str] = field(default_factory=list)
    jobs: list[str] = field(default_factory=list)
    present: list[str] = field(default_factory=list)
    not_needed: dict[str, str] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)


def import_entries(*, database: str = "default", dry_run: bool = False) -> Imported:
    """Import every entry of the tables in ``database``; ``dry_run``: do the same, and roll it back.

    Raises ConfigurationError if the tables are not there.
    """
    imported = Imported()
    entries = list(read_entries(database))
    dialect, connection = open_dialect()
    with dialect.write_transaction(connection):
        now = database_now(using=connection.alias)
        for entry in entries:
            try:
                _import(entry, imported, now=now)
            except (JobsError, CronError) as error:
                imported.left[entry.task.name] = str(error)
        if dry_run:
            transaction.set_rollback(True, using=connection.alias)
    return imported


def _import(entry: Entry, imported: Imported, *, now: datetime) -> None:
    task = entry.task
    reason = _why_not_needed(task, now=now)
    if reason:
        imported.not_needed[task.name] = reason
        return
    _check_delivery(task)
    if task.one_off or entry.clocked is not None:
        _import_job(entry, imported, now=now)
    else:
        _import_schedule(entry, imported, now=now)


def _why_not_needed(task: PeriodicTask, *, now: datetime) -> str:
    if task.task == CLEANUP:
        return "workers prune by the setting RETENTION"
    if task.expires is not None and task.expires <= now:
        return f"it ended at {task.expires}"
    if not task.enabled and (task.one_off or task.clocked_id is not None):
        return "it runs once, and is disabled"
    return ""


def _check_delivery(task: PeriodicTask) -> None:
    """Refuse what a job has no counterpart of."""
    if task.solar_id is not None:
        raise ConfigurationError("solar: schedules here follow the clock; compute the time in a job that runs daily")
    if task.exchange or task.routing_key:
        raise ConfigurationError("exchange, routing_key: jobs go to a queue; clear both, and name the queue")
    if _read_json("headers", task.headers or "{}", dict):
        raise ConfigurationError("headers: schedules have none; make them arguments of the job")


def _import_job(entry: Entry, imported: Imported, *, now: datetime) -> None:
    """Enqueue the job of an entry that runs once, if no earlier import has done so."""
    task = entry.task
    job = get_schedulable_job(task.task)
    due_at = entry.clocked.clocked_time if entry.clocked is not None else _next_tick(entry, now=now)
    foreign_id = f"{task.pk} {due_at if entry.clocked is not None else task.start_time or ''}"
    if find_foreign_ids(QUEUE, [foreign_id]):
        imported.present.append(task.name)
        return
    expires_at = None
    if task.expires is not None:
        expires_at = task.expires
    elif task.expire_seconds and due_at is not None:
        expires_at = max(due_at, now) + timedelta(seconds=task.expire_seconds)
    args, kwargs = _arguments(task)
    made = job.using(
        run_after=due_at, queue_name=task.queue or None, priority=task.priority, expires_at=expires_at
    ).enqueue(*args, **kwargs)
    save_foreign_ids(QUEUE, {foreign_id: made})
    imported.jobs.append(task.name)


def _next_tick(entry: Entry, *, now: datetime) -> datetime | None:
    """Return the first time of a crontab or interval from its start on. Raises CronError if it never comes."""
    timing = _timing(entry)
    timing.check()
    start = entry.task.start_time
    return timing.next(now if start is None else max(start, now))


def _import_schedule(entry: Entry, imported: Imported, *, now: datetime) -> None:
    """Save the schedule of an entry, unless there is one of its name for the same job."""
    task = entry.task
    spec = _spec(entry)
    existing = CronSchedule.objects.filter(name=task.name).first()
    if existing is not None:
        if existing.job_name != task.task:
            raise ConfigurationError(f"there is a schedule of this name for the job {existing.job_name!r}; rename one")
        imported.present.append(task.name)
        return
    row = save_schedule(spec)
    begins_later = task.start_time is not None and task.start_time > now
    if begins_later or not task.enabled:
        pause_schedule(row, by=ACTOR)
    if begins_later and task.enabled:
        start_schedule.using(run_after=task.start_time).enqueue(row.pk)
    if task.expires is not None:
        end_schedule.using(run_after=task.expires).enqueue(row.pk, by=ACTOR)
    imported.schedules.append(task.name)


def _spec(entry: Entry) -> ScheduleSpec:
    task = entry.task
    if not (0 < len(task.name) <= MAX_NAME_LENGTH and task.name.isprintable() and task.name == task.name.strip()):
        raise ConfigurationError(f"name: expected 1 to {MAX_NAME_LENGTH} printable characters")
    job = get_schedulable_job(task.task)
    timing = _timing(entry)
    timing.check()
    args, kwargs = _arguments(task)
    bound = job.signature.bind(args, kwargs)
    arguments = {name: encode(value, what=f"argument {name!r}") for name, value in bound.items()}
    spec = spec_of(job, arguments=check_stored_arguments(job, arguments), timing=timing, tick_policy=TickPolicy())
    _check_options(task, job, spec)
    return spec


def _check_options(task: PeriodicTask, job: DefinedJob, spec: ScheduleSpec) -> None:
    """Refuse options that differ from the job's: a schedule of staff has the queue, priority and expiry of its job."""
    expires = None if task.expire_seconds is None else timedelta(seconds=task.expire_seconds)
    for option, wanted, has in (
        ("queue_name", task.queue or None, spec.queue_name),
        ("priority", task.priority, spec.priority),
        ("expires", expires, spec.expires),
    ):
        if wanted is not None and wanted != has:
            raise ConfigurationError(
                f"{option}: a schedule has that of its job, {has!r}, and this entry {wanted!r}; give it to"
                f" @job({option}=...) of {job.name}, or clear it"
            )


def _timing(entry: Entry) -> Timing:
    task = entry.task
    if entry.crontab is not None:
        crontab = entry.crontab
        cron = to_cron(
            minute=crontab.minute,
            hour=crontab.hour,
            day_of_month=crontab.day_of_month,
            month_of_year=crontab.month_of_year,
            day_of_week=crontab.day_of_week,
        )
        return Timing(name=task.name, cron=cron, timezone=_zone(crontab.timezone))
    if entry.interval is not None:
        try:
            every = timedelta(**{entry.interval.period: entry.interval.every})
        except (TypeError, OverflowError) as error:
            raise ConfigurationError(f"interval: {error}") from None
        return Timing(name=task.name, every=every)
    raise ConfigurationError("the entry has no crontab, interval or clocked time")


def _zone(stored: str) -> str:
    """Return the zone in which django-celery-beat reads a crontab."""
    if getattr(settings, "DJANGO_CELERY_BEAT_TZ_AWARE", True):
        return stored
    return str(getattr(settings, "CELERY_TIMEZONE", None) or "UTC")


def _arguments(task: PeriodicTask) -> tuple[Sequence[Any], dict[str, Any]]:
    return _read_json("args", task.args or "[]", list), _read_json("kwargs", task.kwargs or "{}", dict)


def _read_json(option: str, text: str, kind: type) -> Any:
    """Return a column. Raises ConfigurationError without the text, which may have secrets."""
    expected = f"{option}: expected a JSON {'object' if kind is dict else 'list'}"
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{expected}: {type(error).__name__} when it was read") from None
    if not isinstance(value, kind):
        raise ConfigurationError(f"{expected}, got {type(value).__name__}")
    return value
