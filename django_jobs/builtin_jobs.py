"""Built-in jobs: operations of staff on everything that matches a filter, in small steps in the background.

Each step is committed together with the position of the next one. A job that was killed and runs again resumes there:
nothing is done twice and every row is counted. A rate is kept by snoozing between steps, so the job does not occupy a
worker and can be cancelled at any time.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, timedelta
from functools import partial
from typing import Any

from . import operations
from .context import current_job
from .definition import job
from .exceptions import Snooze
from .models import DeadLetter, Job
from .policy.dead_letter_filter import DeadLetterFilter
from .policy.job_filter import JobFilter
from .policy.metadata import DONE, POSITION
from .store.bulk import Position, take_step
from .store.dead_letters.search import iter_dead_letter_ids
from .store.lifecycle.replay import CHUNK_SIZE, replay_chunk
from .store.search.jobs import find_jobs

STEP_INTERVAL = timedelta(seconds=1)
"""Pause between two steps if there is a rate."""
END_POSITION = "end"
"""Position after the last page."""
ENGINE_PREFIX = "django_jobs."


@job(name="django_jobs.redrive_matching")
def redrive_matching(
    dead_letter_filter: dict[str, Any],
    by: str = "",
    per_second: float | None = None,
    total: int | None = None,
) -> dict[str, int]:
    """Redrive the open dead letters that match, at most ``per_second``; return ``done``, how many were redriven."""
    return _run_in_steps(
        dead_letter_filter,
        total,
        lambda ids: operations.redrive(DeadLetter.objects.filter(pk__in=ids), by=by),
        per_second,
    )


@job(name="django_jobs.purge_matching")
def purge_matching(dead_letter_filter: dict[str, Any], by: str = "", total: int | None = None) -> dict[str, int]:
    """Purge the jobs of the open dead letters that match; return ``done``, how many were purged."""
    return _run_in_steps(
        dead_letter_filter, total, lambda ids: operations.purge(DeadLetter.objects.filter(pk__in=ids), by=by)
    )


@job(name="django_jobs.resolve_matching")
def resolve_matching(
    dead_letter_filter: dict[str, Any], by: str = "", note: str = "", total: int | None = None
) -> dict[str, int]:
    """Resolve the open dead letters that match, with a note if given; return ``done``, how many were resolved."""
    return _run_in_steps(
        dead_letter_filter,
        total,
        lambda ids: operations.resolve(DeadLetter.objects.filter(pk__in=ids), by=by, note=note or None),
    )


@job(name="django_jobs.replay_matching")
def replay_matching(jobs: dict[str, str], total: int | None = None) -> dict[str, int]:
    """Enqueue a copy of the jobs that match, built-in jobs excepted; return ``done``, how many were copied."""
    bulk = _BulkJob(total)
    wanted = JobFilter.from_query(jobs, zone=UTC)
    while bulk.position != END_POSITION:
        page = find_jobs(wanted, after=str(bulk.position or ""), limit=CHUNK_SIZE)
        originals = Job.objects.filter(
            pk__in=[original.pk for original in page.rows if not original.name.startswith(ENGINE_PREFIX)]
        )
        bulk.take_step(partial(replay_chunk, originals), next_position=page.next_cursor or END_POSITION)
    return {"done": bulk.done}


def _run_in_steps(
    dead_letter_filter: dict[str, Any],
    total: int | None,
    apply: Callable[[list[int]], int],
    per_second: float | None = None,
) -> dict[str, int]:
    bulk = _BulkJob(total)
    wanted = DeadLetterFilter.from_json(dead_letter_filter)
    max_per_step = None if per_second is None else max(math.floor(per_second * STEP_INTERVAL.total_seconds()), 1)
    pace = STEP_INTERVAL if per_second is None else max(STEP_INTERVAL, timedelta(seconds=1 / per_second))
    for found, scanned_up_to in iter_dead_letter_ids(wanted, after=int(bulk.position or 0)):
        is_truncated = max_per_step is not None and len(found) > max_per_step
        ids = found[:max_per_step]
        bulk.take_step(partial(apply, ids), next_position=ids[-1] if is_truncated else scanned_up_to)
        if max_per_step is not None and ids:
            raise Snooze(pace)
    return {"done": bulk.done}


class _BulkJob:
    """Progress of the running job: its position and the number of rows processed."""

    def __init__(self, total: int | None) -> None:
        self._context = current_job()
        self._total = total
        self.position: Position = self._context.metadata.get(POSITION)
        self.done = int(self._context.metadata.get(DONE, 0))

    def take_step(self, work: Callable[[], int], *, next_position: Position) -> None:
        """Do the work and move to ``next_position``.

        Raises Cancel if cancellation was requested, and Snooze if another run of the job, declared lost but still
        alive, is ahead: the next attempt resumes after its work.
        """
        self._context.raise_if_cancelled()
        done = take_step(self._context.job_id, work, position=self.position, next_position=next_position)
        if done is None:
            raise Snooze(STEP_INTERVAL)
        self.position, self.done = next_position, done
        # So that whatever saves this run's metadata saves the position too.
        self._context.metadata |= {POSITION: next_position, DONE: done}
        self._context.set_progress(done, None if self._total is None else max(self._total, done))
