"""What ``manage.py jobs`` does: each verb calls the store and returns plain values."""

from __future__ import annotations

import getpass
import json
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from django.db import Error as DatabaseError
from django.db.models import OuterRef, QuerySet, Subquery

from .. import registry
from ..conf import get_settings
from ..enqueue_options import EnqueueOptions
from ..exceptions import ArgumentsError, ConfigurationError, UnknownJobError
from ..models import CronSchedule, Job, Tick, Worker
from ..policy.health import find_unserved
from ..policy.states import FINAL_STATES, State, source_states
from ..store.dialects import open_dialect
from ..store.enqueue.prune_keys import prune_keys, prune_once
from ..store.lifecycle.cancel import CANCELLABLE_STATES, CancelCounts, cancel_counted
from ..store.lifecycle.prune import prune, prune_records, prune_ticks
from ..store.lifecycle.purge import purge
from ..store.lifecycle.redrive import redrive
from ..store.lifecycle.run_now import run_now
from ..store.queues import MAX_RUNNING, pause, resume, set_max_running
from ..store.results.retention import expire_results
from ..store.schedules.tick_round import TickResult
from ..store.search.keys import keys_of_job
from ..store.stats.counts import open_dead_letter_count, overdue_schedules, queue_stats, waiting_queues
from ..store.workers import ALIVE, served_queues
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
        "queues": [queue_row(queue) for queue in queue_stats()],
        "workers": [worker_row(one) for one in Worker.objects.filter(state__in=ALIVE).order_by("pk")],
        "open_dead_letters": open_dead_letter_count(),
    }


def find_problems(*, wait_within: float) -> list[str]:
    """Say what is wrong with the service as a whole; an empty list where nothing is. A few bounded statements."""
    settings = get_settings()
    try:
        return find_unserved(
            waiting_queues(using=settings.database),
            served=served_queues(stale_after=settings.worker.stale_after, using=settings.database),
            wait_within=wait_within,
            overdue_schedules=overdue_schedules(by=timedelta(seconds=wait_within), using=settings.database),
        )
    except DatabaseError as error:
        return [f"the database {settings.database!r} does not answer as it should: {error}".strip()]


def list_jobs(
    *, state: str | None, queue_name: str | None, name: str | None, limit: int
) -> list[dict[str, Any]]:
    """Return the newest jobs that match."""
    jobs = _matching(ids=(), state=state, queue_name=queue_name, name=name)
    return [job_row(job) for job in jobs.order_by("-pk")[:limit]]


def show(job_id: int) -> dict[str, Any]:
    """Return one job with its ``attempts`` and ``why`` it waits. Raises UnknownJobError where there is none."""
    job = Job.objects.filter(pk=job_id).first()
    if job is None:
        raise UnknownJobError(f"there is no job {job_id}; it may have been pruned or purged")
    running = log_row(job.log) if job.state == State.RUNNING else None
    keys = [key_row(one) for one in keys_of_job(job_id)]
    row = {**job_row(job), **expiry_row(job), "why": reason_text(job), "keys": keys or None}
    return {**row, "attempts": attempt_rows(job), "log": running}


def apply_verb(past: str, *, dry_run: bool, **chosen: Any) -> int:
    """Retry or purge the jobs that match and return how many were; ``past`` is the verb's past form."""
    states, verb = _VERBS[past]
    jobs = _matching(**chosen).filter(state__in=states)
    return jobs.count() if dry_run else verb(jobs)


def cancel_jobs(*, dry_run: bool, **chosen: Any) -> CancelCounts:
    """Cancel those of the jobs that match which wait, ask those which run to end, and return how many were each."""
    jobs = _matching(**chosen).filter(state__in=CANCELLABLE_STATES)
    if not dry_run:
        return cancel_counted(jobs)
    asked = jobs.filter(state=State.RUNNING, cancel_requested_at__isnull=True).count()
    return CancelCounts(jobs.filter(state__in=source_states("cancel")).count(), asked)


def enqueue(
    name: str,
    arguments: str,
    *,
    queue_name: str | None,
    priority: int | None,
    delay_seconds: float | None,
    expires_seconds: float | None = None,
) -> dict[str, Any]:
    """Enqueue a registered job with the keywords of a JSON object and return its row, with ``is_duplicate``."""
    try:
        keywords = json.loads(arguments)
    except ValueError as error:
        raise ArgumentsError(f"--arguments: expected a JSON object, got {arguments!r}: {error}") from error
    if not isinstance(keywords, dict):
        raise ArgumentsError(f"--arguments: expected a JSON object, got {arguments!r}")
    options: EnqueueOptions[Any, Any] = registry.get(name).using(
        queue_name=queue_name,
        priority=priority,
        run_after=None if delay_seconds is None else timedelta(seconds=delay_seconds),
        expires_at=None if expires_seconds is None else timedelta(seconds=expires_seconds),
    )
    job = options.enqueue(**keywords)
    return {**job_row(job), "is_duplicate": job.is_duplicate}


def pause_queue(name: str) -> bool:
    """Pause a queue and tell whether it was running."""
    return pause(name, by=actor())


def cap_queue(name: str, limit: str) -> int | None:
    """Let so many of a queue's jobs run at once, ``none``: all. Raises ConfigurationError; returns the number."""
    try:
        number = None if limit == "none" else int(limit)
        set_max_running(name, number)
    except ValueError:
        raise ConfigurationError(
            f"limit: expected a whole number from 1 to {MAX_RUNNING}, or 'none' for no limit, got {limit!r}"
        ) from None
    return number


def resume_queue(name: str) -> bool:
    """Resume a queue and tell whether it was paused."""
    return resume(name)


def list_schedules() -> list[dict[str, Any]]:
    """Return every schedule with its newest tick, sorted by name. Two statements."""
    newest = Tick.objects.filter(schedule=OuterRef("pk")).order_by("-due_at").values("pk")[:1]
    schedules = list(CronSchedule.objects.annotate(newest_tick=Subquery(newest)).order_by("name"))
    ticks = {
        tick.schedule_id: tick for tick in Tick.objects.filter(pk__in=[one.newest_tick for one in schedules])
    }
    return [schedule_row(one, ticks.get(one.pk)) for one in schedules]


def tick_once() -> TickResult:
    """Bring the schedules in step with the code and fire what is due, once. Safe to call from many places at once."""
    using = get_settings().database
    dialect, connection = open_dialect(using)
    dialect.prepare(connection, durable=True)
    log_sync(sync_code_schedules(using=using, started=time.monotonic()))
    return fire_due(using=using)


def prune_now() -> int:
    """Prune everything that RETENTION allows and return how many jobs were deleted."""
    settings = get_settings()
    pruned = prune(settings.retention.by_state)
    prune_records(settings.retention.by_state, alerted_for=settings.alerts.mail_admins_period)
    prune_ticks(settings.retention.ticks)
    prune_keys()
    prune_once(settings.retention.once)
    expire_results()
    return pruned.jobs


def actor() -> str:
    """Return who uses the shell, as it is kept on letters and queues."""
    try:
        return f"{getpass.getuser()} (shell)"
    except (KeyError, OSError):
        return "shell"


def _matching(
    *, ids: Sequence[int], state: str | None, queue_name: str | None, name: str | None
) -> QuerySet[Job]:
    jobs = Job.objects.all()
    if ids:
        jobs = jobs.filter(pk__in=ids)
    given = {"state": state, "queue_name": queue_name, "name": name}
    return jobs.filter(**{field: value for field, value in given.items() if value is not None})


def _retry(jobs: QuerySet[Job]) -> int:
    return redrive(jobs.filter(state=State.DEAD), by=actor()) + run_now(jobs.filter(state=State.SCHEDULED))


_VERBS: dict[str, tuple[frozenset[State], Callable[[QuerySet[Job]], int]]] = {
    "retried": (source_states("redrive") | source_states("run_now"), _retry),
    "purged": (FINAL_STATES, lambda jobs: purge(jobs, by=actor())),
}
