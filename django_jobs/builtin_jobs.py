"""Built-in jobs: operations of staff on everything that matches a filter, in small steps in the background.

Each step is committed together with the position of the next one. A job that was killed and runs again resumes there:
nothing is done twice and every row is counted. A rate is kept by snoozing between steps, so the job does not occupy a
worker and can be cancelled at any time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from django.db.models import QuerySet

from . import operations
from .bulk_steps import STEP_INTERVAL, BulkSteps
from .context import current_job
from .definition import job
from .exceptions import Snooze
from .hooks import hook_metadata_by_name
from .models import CronSchedule, DeadLetter, Job
from .policy.dead_letter_filter import DeadLetterFilter
from .policy.job_filter import JobFilter
from .store.bulk import Position
from .store.clock import database_now
from .store.dead_letters.resolve_group import record_resolution
from .store.dead_letters.search import iter_dead_letter_ids
from .store.lifecycle.replay import CHUNK_SIZE, replay_chunk
from .store.search.jobs import find_jobs

END_POSITION = "end"
"""Cursor after the last page."""
ENGINE_PREFIX = "django_jobs."
WORK_OF_PROJECTS = frozenset({"django_jobs.send_mail"})
"""Built-in jobs that bulk actions and copies treat as the project's own."""


@job(name="django_jobs.redrive_matching")
def redrive_matching(
    dead_letter_filter: dict[str, Any],
    by: str = "",
    per_second: float | None = None,
    priority: int | None = None,
    total: int | None = None,
) -> dict[str, int]:
    """Redrive the open dead letters that match, at most ``per_second``; return ``done``, how many were redriven."""
    redrive = partial(operations.redrive, by=by, priority=priority)
    return _run_in_steps(_dead_letters(dead_letter_filter), redrive, total, per_second)


@job(name="django_jobs.purge_matching")
def purge_matching(dead_letter_filter: dict[str, Any], by: str = "", total: int | None = None) -> dict[str, int]:
    """Purge the jobs of the open dead letters that match; return ``done``, how many were purged."""
    return _run_in_steps(_dead_letters(dead_letter_filter), partial(operations.purge, by=by), total)


@job(name="django_jobs.resolve_matching")
def resolve_matching(
    dead_letter_filter: dict[str, Any], by: str = "", note: str = "", total: int | None = None
) -> dict[str, int]:
    """Resolve the open dead letters that match, with a note if given; return ``done``, how many were resolved.

    If they are a whole group, that is recorded: it was resolved when the job was enqueued, and deaths since then are
    its return.
    """
    resolve = partial(operations.resolve, by=by, note=note or None)
    done = _run_in_steps(_dead_letters(dead_letter_filter), resolve, total)
    if group := DeadLetterFilter.from_json(dead_letter_filter).whole_group:
        record_resolution(group, by=by, at=current_job().enqueued_at)
    return done


@job(name="django_jobs.replay_matching")
def replay_matching(jobs: dict[str, str], total: int | None = None) -> dict[str, int]:
    """Enqueue a copy of the jobs that match, built-in jobs excepted; return ``done``, how many were copied."""
    return _run_in_steps(_jobs(jobs), partial(replay_chunk, metadata_source=hook_metadata_by_name), total)


@job(name="django_jobs.cancel_jobs_matching")
def cancel_jobs_matching(jobs: dict[str, str], by: str = "", total: int | None = None) -> dict[str, int]:
    """Cancel the waiting jobs that match, request cancellation of running ones; return ``done``, how many of both."""
    return _run_in_steps(_jobs(jobs), lambda target: sum(operations.cancel(target, by=by)), total)


@job(name="django_jobs.retry_jobs_matching")
def retry_jobs_matching(
    jobs: dict[str, str],
    by: str = "",
    per_second: float | None = None,
    priority: int | None = None,
    total: int | None = None,
) -> dict[str, int]:
    """Redrive the dead jobs that match and run the scheduled ones now, at most ``per_second``; return ``done``."""
    retry = partial(operations.retry, by=by, priority=priority)
    return _run_in_steps(_jobs(jobs, only_once=True), retry, total, per_second)


@job(name="django_jobs.purge_jobs_matching")
def purge_jobs_matching(jobs: dict[str, str], by: str = "", total: int | None = None) -> dict[str, int]:
    """Delete the finished jobs that match; return ``done``, how many were purged."""
    return _run_in_steps(_jobs(jobs), partial(operations.purge, by=by), total)


@job(name="django_jobs.move_jobs_matching")
def move_jobs_matching(jobs: dict[str, str], to: str, by: str = "", total: int | None = None) -> dict[str, int]:
    """Move the waiting jobs that match to the queue ``to``; return ``done``, how many were moved."""
    return _run_in_steps(_jobs(jobs), partial(operations.move, to=to, by=by), total)


@job(name="django_jobs.prioritize_jobs_matching")
def prioritize_jobs_matching(
    jobs: dict[str, str], priority: int, by: str = "", total: int | None = None
) -> dict[str, int]:
    """Give the waiting jobs that match this priority; return ``done``, how many had another."""
    return _run_in_steps(_jobs(jobs), partial(operations.set_priority, priority=priority, by=by), total)


@job(name="django_jobs.start_schedule", priority=100)
def start_schedule(schedule_id: int) -> None:
    """Resume a schedule at its start; nothing if it was deleted or is not paused."""
    for schedule in CronSchedule.objects.filter(pk=schedule_id):
        operations.resume_schedule(schedule)


@job(name="django_jobs.end_schedule", priority=100)
def end_schedule(schedule_id: int, by: str = "") -> None:
    """Pause a schedule at its end; nothing if it was deleted or is paused."""
    for schedule in CronSchedule.objects.filter(pk=schedule_id):
        operations.pause_schedule(schedule, by=by)


Steps = Callable[[Position, int | None], Iterator[tuple[QuerySet[Any] | None, Position]]]
"""``(position, limit)``: the rows behind the position, at most so many at a time, and where the next step begins.

None instead of rows: none of this step match.
"""


def _dead_letters(dead_letter_filter: dict[str, Any]) -> Steps:
    wanted = DeadLetterFilter.from_json(dead_letter_filter)

    def steps(position: Position, limit: int | None) -> Iterator[tuple[QuerySet[Any] | None, Position]]:
        for ids, scanned_up_to in iter_dead_letter_ids(wanted, after=int(position or 0), limit=limit):
            yield DeadLetter.objects.filter(pk__in=ids) if ids else None, scanned_up_to

    return steps


def _jobs(jobs: dict[str, str], *, only_once: bool = False) -> Steps:
    """Return the steps through the jobs that match, built-in ones left out: this job is one of them.

    ``only_once``: without jobs that ran since the first step. Scheduled jobs are read by their time, and one that
    failed again has a later one. A position is the time of the first step and a cursor.
    """
    wanted = JobFilter.from_query(jobs, zone=UTC)

    def steps(position: Position, limit: int | None) -> Iterator[tuple[QuerySet[Any] | None, Position]]:
        began, _, cursor = str(position or f"{database_now().isoformat()} ").partition(" ")
        while cursor != END_POSITION:
            page = find_jobs(wanted, after=cursor, limit=min(limit or CHUNK_SIZE, CHUNK_SIZE))
            ids = [found.pk for found in page.rows if not is_builtin(found.name)]
            cursor = page.next_cursor or END_POSITION
            rows = Job.objects.filter(pk__in=ids)
            if only_once:
                rows = rows.exclude(started_at__gte=datetime.fromisoformat(began))
            yield rows if ids else None, f"{began} {cursor}"

    return steps


def is_builtin(name: str) -> bool:
    """Tell whether this is the name of a job of django_jobs itself, which no bulk action touches."""
    return name.startswith(ENGINE_PREFIX) and name not in WORK_OF_PROJECTS


def has_fixed_arguments(name: str) -> bool:
    """Tell whether code of django_jobs makes the arguments of this job, and nobody may write them by hand.

    Those of a mail can name another server, which would be sent the login of the settings.
    """
    return name.startswith(ENGINE_PREFIX)


def _run_in_steps(
    steps: Steps, apply: Callable[[Any], int], total: int | None, per_second: float | None = None
) -> dict[str, int]:
    bulk = BulkSteps(total)
    limit = None if per_second is None else max(math.floor(per_second * STEP_INTERVAL.total_seconds()), 1)
    pace = STEP_INTERVAL if per_second is None else max(STEP_INTERVAL, timedelta(seconds=1 / per_second))
    for rows, next_position in steps(bulk.position, limit):
        bulk.take_step((lambda: 0) if rows is None else partial(apply, rows), next_position=next_position)
        if limit is not None and rows is not None:
            raise Snooze(pace)
    return {"done": bulk.done}
