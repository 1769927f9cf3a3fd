"""Jobs of the engine's own: what staff do to everything that matches a filter, in small steps, in the background.

Each step is committed together with the place where the next one begins, so a job that was killed and runs again
goes on where it was: nothing is done twice, and nothing is left out of its count. A rate is kept by snoozing between
steps: the job never sits in a worker, and can be stopped any time.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, timedelta
from functools import partial
from typing import Any

from .context import current_job
from .definition import job
from .exceptions import Snooze
from .models import DeadLetter, Job
from .policy.dead_letter_filter import DeadLetterFilter
from .policy.job_filter import JobFilter
from .store.bulk import DONE, POSITION, Position, take_step
from .store.dead_letters.resolve import resolve
from .store.dead_letters.search import iter_dead_letter_ids
from .store.lifecycle.purge import purge
from .store.lifecycle.redrive import redrive
from .store.lifecycle.replay import CHUNK, replay_chunk
from .store.search.jobs import find_jobs

STEP_INTERVAL = timedelta(seconds=1)
"""With a rate: so long between two steps."""
END_POSITION = "end"
"""The position behind the last page."""
ENGINE_PREFIX = "django_jobs."


@job(name="django_jobs.redrive_matching")
def redrive_matching(
    dead_letter_filter: dict[str, Any],
    by: str = "",
    per_second: float | None = None,
    total: int | None = None,
) -> dict[str, int]:
    """Redrive every open letter of the filter, at a rate where one is given; return how many were."""
    return _run_in_steps(
        dead_letter_filter,
        total,
        lambda ids: redrive(DeadLetter.objects.filter(pk__in=ids), by=by),
        per_second,
    )


@job(name="django_jobs.purge_matching")
def purge_matching(
    dead_letter_filter: dict[str, Any], by: str = "", total: int | None = None
) -> dict[str, int]:
    """Purge the jobs of every open letter of the filter; return how many were."""
    return _run_in_steps(
        dead_letter_filter, total, lambda ids: purge(DeadLetter.objects.filter(pk__in=ids), by=by)
    )


@job(name="django_jobs.resolve_matching")
def resolve_matching(
    dead_letter_filter: dict[str, Any], by: str = "", note: str = "", total: int | None = None
) -> dict[str, int]:
    """Resolve every open letter of the filter, with a note where one is given; return how many were."""
    return _run_in_steps(
        dead_letter_filter,
        total,
        lambda ids: resolve(DeadLetter.objects.filter(pk__in=ids), by=by, note=note or None),
    )


@job(name="django_jobs.replay_matching")
def replay_matching(jobs: dict[str, str], total: int | None = None) -> dict[str, int]:
    """Enqueue a copy of every job of the filter, except of jobs like this one; return how many were."""
    bulk = _BulkJob(total)
    wanted = JobFilter.from_query(jobs, zone=UTC)
    while bulk.position != END_POSITION:
        page = find_jobs(wanted, after=str(bulk.position or ""), limit=CHUNK)
        originals = Job.objects.filter(
            pk__in=[one.pk for one in page.rows if not one.name.startswith(ENGINE_PREFIX)]
        )
        bulk.take_step(partial(replay_chunk, originals), next_position=page.older or END_POSITION)
    return {"done": bulk.done}


def _run_in_steps(
    dead_letter_filter: dict[str, Any],
    total: int | None,
    end: Callable[[list[int]], int],
    per_second: float | None = None,
) -> dict[str, int]:
    bulk = _BulkJob(total)
    wanted = DeadLetterFilter.from_json(dead_letter_filter)
    max_per_step = (
        None if per_second is None else max(math.floor(per_second * STEP_INTERVAL.total_seconds()), 1)
    )
    pace = STEP_INTERVAL if per_second is None else max(STEP_INTERVAL, timedelta(seconds=1 / per_second))
    for found, scanned_up_to in iter_dead_letter_ids(wanted, after=int(bulk.position or 0)):
        is_truncated = max_per_step is not None and len(found) > max_per_step
        ids = found[:max_per_step]
        bulk.take_step(partial(end, ids), next_position=ids[-1] if is_truncated else scanned_up_to)
        if max_per_step is not None and ids:
            raise Snooze(pace)
    return {"done": bulk.done}


class _BulkJob:
    """The job that runs here: where it goes on, and to how many it has done its work."""

    def __init__(self, total: int | None) -> None:
        self._context = current_job()
        self._total = total
        self.position: Position = self._context.metadata.get(POSITION)
        self.done = int(self._context.metadata.get(DONE, 0))

    def take_step(self, work: Callable[[], int], *, next_position: Position) -> None:
        """Do the work and go on behind ``next_position``.

        Raises Cancelled where the job was asked to end, and Snooze where another run of it, declared lost and alive
        all the same, is ahead: the next try goes on behind whatever has been done.
        """
        self._context.raise_if_cancelled()
        done = take_step(self._context.job_id, work, position=self.position, next_position=next_position)
        if done is None:
            raise Snooze(STEP_INTERVAL)
        self.position, self.done = next_position, done
        # Whoever saves this run's metadata saves the place, too.
        self._context.metadata |= {POSITION: next_position, DONE: done}
        self._context.set_progress(done, None if self._total is None else max(self._total, done))
