"""Verbs of ``manage.py jobs``: read or change the queue and return plain values."""

from __future__ import annotations

import getpass
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import timedelta
from importlib import import_module
from typing import Any, Literal

from django.db import Error as DatabaseError
from django.db.models import OuterRef, Subquery

from .. import operations, registry
from ..conf import get_settings
from ..conf.database import chosen_database, current_database, public_id
from ..conf.readers import as_queue_name
from ..exceptions import ArgumentsError, ConfigurationError, JobsError, UnknownJobError
from ..models import CronSchedule, Job, Queue, Tick, Worker
from ..models.querysets import JobQuerySet
from ..models.queue import MAX_RUNNING
from ..policy import service_health
from ..policy.forecast import Forecast, Trend
from ..policy.hints import find_near
from ..policy.service_facts import ServiceFacts
from ..policy.states import APPLICABLE_STATES, State
from ..store.dialects import open_dialect
from ..store.messages.status import read_broker_facts
from ..store.readiness import explain
from ..store.schedules.tick_round import TickResult
from ..store.search.optional_indexes import create_optional_index, drop_optional_index
from ..store.stats.counts import known_queues, late_schedules, waiting_queues
from ..store.stats.dashboard import dashboard_snapshot
from ..store.stats.service_facts import describe_service
from ..store.workers import idle_workers, served_queues
from ..worker.duties.scheduler import fire_due, log_sync, sync_code_schedules
from .rows import (
    attempt_rows,
    deploy_row,
    expiry_row,
    job_row,
    key_row,
    log_row,
    queue_row,
    reason_text,
    schedule_row,
    sentence_row,
    sentence_text,
    worker_row,
)

MAX_DEPLOYS = 5
MAX_LATE = 100
"""Late schedules that are read."""


def status() -> dict[str, Any]:
    """Return ``health`` in sentences, ``queues``, living ``workers``, ``deploys``, and ``open_dead_letters``."""
    snapshot = dashboard_snapshot()
    forecasts = {queue.name: queue.forecast for queue in snapshot.queues}
    unknown = Forecast(trend=Trend.UNKNOWN)
    return {
        "health": [sentence_row(sentence) for sentence in describe_service(snapshot)],
        "queues": [
            queue_row(queue, forecasts.get(queue.name, unknown), now=snapshot.now) for queue in operations.queue_stats()
        ],
        "workers": [worker_row(worker) for worker in Worker.objects.alive().order_by("pk")],
        "deploys": [deploy_row(deploy) for deploy in snapshot.deploys[:MAX_DEPLOYS]],
        "open_dead_letters": operations.open_dead_letter_count(),
    }


def find_problems(*, wait_within: float) -> list[str]:
    """Return the problems of the whole service, none if it is healthy. A few bounded statements."""
    settings = get_settings()
    stale_after, using = settings.worker.stale_after, current_database()
    try:
        facts = ServiceFacts(
            served=served_queues(stale_after=stale_after, using=using),
            queues=waiting_queues(using=using),
            idle=idle_workers(stale_after=stale_after, using=using),
            late_schedules=late_schedules(limit=MAX_LATE, using=using),
            brokers=read_broker_facts(using=using),
        )
    except DatabaseError as error:
        return [explain(error, using=using)]
    return [sentence_text(one) for one in service_health.find_problems(facts, max_wait_seconds=wait_within)]


def list_jobs(*, state: str | None, queue_name: str | None, name: str | None, limit: int) -> list[dict[str, Any]]:
    """Return the newest jobs that match."""
    jobs = _matching(ids=(), state=state, queue_name=queue_name, name=name)
    return [job_row(job) for job in jobs.order_by("-pk")[:limit]]


def show(job_id: int) -> dict[str, Any]:
    """Return one job with its ``attempts`` and ``why`` it does not run. Raises UnknownJobError."""
    job = Job.objects.filter(pk=job_id).first()
    if job is None:
        raise UnknownJobError(f"there is no job {public_id(job_id)}; it may have been pruned or purged")
    running = log_row(job.log) if job.state == State.RUNNING else None
    keys = [key_row(key) for key in operations.keys_of_job(job_id)]
    row = {**job_row(job), **expiry_row(job), "why": reason_text(job), "keys": keys or None}
    return {**row, "attempts": attempt_rows(job), "log": running}


def change_jobs(
    verb: Literal["retry", "purge", "move", "set_priority"],
    *,
    dry_run: bool,
    change: dict[str, Any] | None = None,
    **selected: Any,
) -> int:
    """Apply an operation to the jobs that match and return how many; only count them if ``dry_run``.

    ``change``: what else the operation takes, such as a priority.
    """
    jobs = _matching(**selected).filter(state__in=APPLICABLE_STATES[verb])
    if dry_run:
        return _without_change(verb, jobs, **change or {}).count()
    operation: Callable[..., int] = getattr(operations, verb)
    return operation(jobs, by=actor(), **change or {})


def _without_change(verb: str, jobs: JobQuerySet, **change: Any) -> JobQuerySet:
    """Leave out the jobs that a move or another priority would not change."""
    match verb:
        case "move":
            return jobs.exclude(queue_name=change["to"])
        case "set_priority":
            return jobs.exclude(priority=change["priority"])
    return jobs


def check_queue(name: str, *, create: bool) -> str:
    """Return the name of a queue that is known, or may be new. Raises ConfigurationError for any other."""
    name = as_queue_name("--to", name)
    if not create and not Queue.objects.filter(name=name).exists():
        raise ConfigurationError(
            f"--to: expected a queue that a worker has seen, got {name!r}; jobs there wait until a worker serves it:"
            " --create if that is meant"
        )
    return name


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
        database=chosen_database(),
        queue_name=queue_name,
        priority=priority,
        run_after=None if delay_seconds is None else timedelta(seconds=delay_seconds),
        expires_at=None if expires_seconds is None else timedelta(seconds=expires_seconds),
    )
    job = definition.enqueue(**keywords)
    return {**job_row(job), "is_duplicate": job.is_duplicate}


def require_queue(name: str) -> None:
    """Raise ConfigurationError, with the nearest name, for a queue without a row, waiting jobs or registered jobs."""
    known = set(known_queues(using=current_database()))
    known |= {definition.options.queue_name or "default" for definition in registry.all_definitions()}
    if name in known or Job.objects.waiting().filter(queue_name=name).exists():
        return
    near = find_near(name, known)
    hint = f"did you mean {near!r}?" if near else "'manage.py jobs status' lists them."
    raise ConfigurationError(f"queue: expected a known queue, got {name!r}; {hint} --create makes a new one")


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


def stop_worker(worker_id: int) -> None:
    """Request a worker to stop in good order. Raises JobsError if that changes nothing."""
    if not operations.stop_worker(worker_id, by=actor()):
        raise JobsError(_why_not_ended(worker_id))


def kill_worker(worker_id: int, *, blamed: int | None) -> None:
    """Request a worker to end at once; ``blamed`` is the job to cancel. Raises JobsError if that changes nothing."""
    if operations.kill_worker(worker_id, job_id=blamed, by=actor()):
        return
    if blamed is not None and not Job.objects.running().filter(pk=blamed, worker=worker_id).exists():
        raise JobsError(
            f"expected a running job of worker {worker_id}, got job {public_id(blamed)}; see 'manage.py jobs show'"
        )
    raise JobsError(_why_not_ended(worker_id))


def _why_not_ended(worker_id: int) -> str:
    if Worker.objects.alive().filter(pk=worker_id).exists():
        return f"nothing was changed: the end of worker {worker_id} was requested before"
    return f"expected the id of a living worker, got {worker_id}; 'manage.py jobs status' lists them"


def list_schedules() -> list[dict[str, Any]]:
    """Return every schedule with its newest tick, sorted by name. Two statements."""
    newest = Tick.objects.filter(schedule=OuterRef("pk")).order_by("-due_at").values("pk")[:1]
    schedules = list(CronSchedule.objects.annotate(newest_tick=Subquery(newest)).order_by("name"))
    ticks = Tick.objects.filter(pk__in=[schedule.newest_tick for schedule in schedules])
    by_schedule = {tick.schedule_id: tick for tick in ticks}
    return [schedule_row(schedule, by_schedule.get(schedule.pk)) for schedule in schedules]


def tick_once() -> TickResult:
    """Sync the schedules with the code and fire what is due, once. Safe to call concurrently."""
    using = get_settings().database_of_schedules
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


def change_index(kind: str, *, drop: bool) -> bool:
    """Create or drop an optional index of jobs and return whether that changed anything."""
    return drop_optional_index(kind) if drop else create_optional_index(kind)


def import_django_tasks_db(*, dry_run: bool) -> dict[str, Any]:
    """Return the number of tasks that were ``moved``, and those ``left`` by path. Raises ConfigurationError."""
    # By name: contrib is above the commands, and needs django.tasks.
    try:
        importing = import_module(f"{__package__.partition('.')[0]}.contrib.tasks.importing")
    except ImportError as error:
        raise ConfigurationError(str(error)) from error
    imported: dict[str, Any] = asdict(importing.import_waiting_tasks(dry_run=dry_run))
    return imported


def import_celery_beat(*, database: str, dry_run: bool) -> dict[str, Any]:
    """Return what became of each entry of django-celery-beat, by name. Raises ConfigurationError."""
    importing = import_module(f"{__package__.partition('.')[0]}.contrib.celery_beat.importing")
    imported: dict[str, Any] = asdict(importing.import_entries(database=database, dry_run=dry_run))
    return imported
