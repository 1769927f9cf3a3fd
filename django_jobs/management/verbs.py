"""Verbs of ``manage.py jobs``: read or change the queue and return plain values."""

from __future__ import annotations

import getpass
import json
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Literal

from django.db import Error as DatabaseError
from django.db.models import OuterRef, Subquery

from .. import operations, registry
from ..conf import get_settings
from ..exceptions import ArgumentsError, ConfigurationError, UnknownJobError
from ..models import CronSchedule, Job, Tick, Worker
from ..models.querysets import JobQuerySet
from ..models.queue import MAX_RUNNING
from ..policy.health import find_unserved
from ..policy.states import APPLICABLE_STATES, State
from ..store.dialects import open_dialect
from ..store.schedules.tick_round import TickResult
from ..store.stats.counts import overdue_schedules, waiting_queues
from ..store.workers import idle_workers, served_queues
from ..worker.duties.scheduler import fire_due, log_sync, sync_code_schedules
from .rows import (
    attempt_rows,
    expiry_row,
    job_row,
    key_row,
    log_row,
    queue_row,
    reason_text,
    schedule_row,
    worker_row,
)


def status() -> dict[str, Any]:
    """Return ``queues``, living ``workers`` and the number of ``open_dead_letters``."""
    return {
        "queues": [queue_row(queue) for queue in operations.queue_stats()],
        "workers": [worker_row(worker) for worker in Worker.objects.alive().order_by("pk")],
        "open_dead_letters": operations.open_dead_letter_count(),
    }


def find_problems(*, wait_within: float) -> list[str]:
    """Return the problems of the whole service, none if it is healthy. A few bounded statements."""
    settings = get_settings()
    try:
        return find_unserved(
            waiting_queues(using=settings.database),
            served=served_queues(stale_after=settings.worker.stale_after, using=settings.database),
            idle=idle_workers(stale_after=settings.worker.stale_after, using=settings.database),
            wait_within=wait_within,
            overdue_schedules=overdue_schedules(by=timedelta(seconds=wait_within), using=settings.database),
        )
    except DatabaseError as error:
        return [f"the database {settings.database!r} cannot be read: {error}".strip()]


def list_jobs(*, state: str | None, queue_name: str | None, name: str | None, limit: int) -> list[dict[str, Any]]:
    """Return the newest jobs that match."""
    jobs = _matching(ids=(), state=state, queue_name=queue_name, name=name)
    return [job_row(job) for job in jobs.order_by("-pk")[:limit]]


def show(job_id: int) -> dict[str, Any]:
    """Return one job with its ``attempts`` and ``why`` it does not run. Raises UnknownJobError."""
    job = Job.objects.filter(pk=job_id).first()
    if job is None:
        raise UnknownJobError(f"there is no job {job_id}; it may have been pruned or purged")
    running = log_row(job.log) if job.state == State.RUNNING else None
    keys = [key_row(key) for key in operations.keys_of_job(job_id)]
    row = {**job_row(job), **expiry_row(job), "why": reason_text(job), "keys": keys or None}
    return {**row, "attempts": attempt_rows(job), "log": running}


def change_jobs(verb: Literal["retry", "purge"], *, dry_run: bool, **selected: Any) -> int:
    """Retry or purge the jobs that match and return how many; only count them if ``dry_run``."""
    jobs = _matching(**selected).filter(state__in=APPLICABLE_STATES[verb])
    if dry_run:
        return jobs.count()
    return (operations.retry if verb == "retry" else operations.purge)(jobs, by=actor())


def cancel_jobs(*, dry_run: bool, **selected: Any) -> operations.CancelResult:
    """Cancel the jobs that match and return how many were cancelled and requested; only count if ``dry_run``."""
    jobs = _matching(**selected)
    if not dry_run:
        return jobs.cancel(by=actor())
    requested = jobs.running().filter(cancel_requested_at__isnull=True).count()
    return operations.CancelResult(jobs.waiting().count(), requested)


def enqueue(
    name: str,
    arguments: str,
    *,
    queue_name: str | None,
    priority: int | None,
    delay_seconds: float | None,
    expires_seconds: float | None = None,
) -> dict[str, Any]:
    """Enqueue a registered job with the keywords of a JSON object; return its row, with ``is_duplicate``."""
    try:
        keywords = json.loads(arguments)
    except ValueError as error:
        raise ArgumentsError(f"--arguments: expected a JSON object, got {arguments!r}: {error}") from error
    if not isinstance(keywords, dict):
        raise ArgumentsError(f"--arguments: expected a JSON object, got {arguments!r}")
    definition = registry.get(name).using(
        queue_name=queue_name,
        priority=priority,
        run_after=None if delay_seconds is None else timedelta(seconds=delay_seconds),
        expires_at=None if expires_seconds is None else timedelta(seconds=expires_seconds),
    )
    job = definition.enqueue(**keywords)
    return {**job_row(job), "is_duplicate": job.is_duplicate}


def set_max_running(queue_name: str, limit: str) -> int | None:
    """Set the limit of a queue's running jobs and return it; ``none`` removes it. Raises ConfigurationError."""
    try:
        number = None if limit == "none" else int(limit)
        operations.set_max_running(queue_name, number)
    except ValueError:
        raise ConfigurationError(
            f"limit: expected a whole number from 1 to {MAX_RUNNING}, or 'none' for no limit, got {limit!r}"
        ) from None
    return number


def list_schedules() -> list[dict[str, Any]]:
    """Return every schedule with its newest tick, sorted by name. Two statements."""
    newest = Tick.objects.filter(schedule=OuterRef("pk")).order_by("-due_at").values("pk")[:1]
    schedules = list(CronSchedule.objects.annotate(newest_tick=Subquery(newest)).order_by("name"))
    ticks = Tick.objects.filter(pk__in=[schedule.newest_tick for schedule in schedules])
    by_schedule = {tick.schedule_id: tick for tick in ticks}
    return [schedule_row(schedule, by_schedule.get(schedule.pk)) for schedule in schedules]


def tick_once() -> TickResult:
    """Sync the schedules with the code and fire what is due, once. Safe to call concurrently."""
    using = get_settings().database
    dialect, connection = open_dialect(using)
    dialect.prepare(connection, durable=True)
    log_sync(sync_code_schedules(using=using, started=time.monotonic()))
    return fire_due(using=using)


def actor() -> str:
    """Return the shell's user, as stored on dead letters and queues."""
    try:
        return f"{getpass.getuser()} (shell)"
    except (KeyError, OSError):
        return "shell"


def _matching(*, ids: Sequence[int], state: str | None, queue_name: str | None, name: str | None) -> JobQuerySet:
    given = {"pk__in": ids or None, "state": state, "queue_name": queue_name, "name": name}
    return Job.objects.filter(**{field: value for field, value in given.items() if value is not None})
