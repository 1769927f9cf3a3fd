"""Jobs of the engine's own: what staff do to everything that matches a filter, in small steps, in the background.

Each step ends open letters, so a job that was killed and runs again goes on where it was, and nothing is done
twice; its count may then lack the last step. A rate is kept by snoozing between steps: the job never sits in a
worker, and can be stopped any time.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, timedelta
from typing import Any

from .context import current_job
from .definition import job
from .exceptions import Cancelled, Snooze
from .models import DeadLetter, Job
from .policy.job_filter import JobFilter
from .policy.letter_filter import LetterFilter
from .store.browse import browse
from .store.letter_search import steps
from .store.purge import purge
from .store.redrive import redrive
from .store.replay import CHUNK, DONE, POSITION, replay_step
from .store.resolve import resolve

PACE = timedelta(seconds=1)
"""With a rate: so long between two steps."""
END = "end"
"""The position behind the last page."""
OWN = "django_jobs."


@job(name="django_jobs.redrive_matching")
def redrive_matching(
    letters: dict[str, Any], by: str = "", per_second: float | None = None, total: int | None = None
) -> dict[str, int]:
    """Redrive every open letter of the filter, at a rate where one is given; return how many were."""
    return _each_step(
        letters, total, lambda ids: redrive(DeadLetter.objects.filter(pk__in=ids), by=by), per_second
    )


@job(name="django_jobs.purge_matching")
def purge_matching(letters: dict[str, Any], by: str = "", total: int | None = None) -> dict[str, int]:
    """Purge the jobs of every open letter of the filter; return how many were."""
    return _each_step(letters, total, lambda ids: purge(DeadLetter.objects.filter(pk__in=ids), by=by))


@job(name="django_jobs.resolve_matching")
def resolve_matching(
    letters: dict[str, Any], by: str = "", note: str = "", total: int | None = None
) -> dict[str, int]:
    """Resolve every open letter of the filter, with a note where one is given; return how many were."""
    return _each_step(
        letters, total, lambda ids: resolve(DeadLetter.objects.filter(pk__in=ids), by=by, note=note or None)
    )


@job(name="django_jobs.replay_matching")
def replay_matching(jobs: dict[str, str], total: int | None = None) -> dict[str, int]:
    """Enqueue a copy of every job of the filter, except of jobs like this one; return how many were.

    The place where it goes on is written together with the copies: however often it is killed, each job is
    copied once.
    """
    context = current_job()
    wanted = JobFilter.from_query(jobs, zone=UTC)
    position, done = str(context.metadata.get(POSITION, "")), int(context.metadata.get(DONE, 0))
    while position != END:
        context.raise_if_cancelled()
        page = browse(wanted, after=position, limit=CHUNK)
        originals = Job.objects.filter(pk__in=[one.pk for one in page.rows if not one.name.startswith(OWN)])
        following = page.older or END
        made = replay_step(originals, by_job=context.job_id, position=position, next_position=following)
        if made is None:
            raise Cancelled("another run of this job goes on with it")
        position, done = following, made
        context.metadata |= {POSITION: position, DONE: done}
        context.set_progress(done, None if total is None else max(total, done))
    return {"done": done}


def _each_step(
    letters: dict[str, Any],
    total: int | None,
    end: Callable[[list[int]], int],
    per_second: float | None = None,
) -> dict[str, int]:
    context = current_job()
    wanted = LetterFilter.from_json(letters)
    done = int(context.metadata.get(DONE, 0))
    at_most = None if per_second is None else max(math.floor(per_second * PACE.total_seconds()), 1)
    pace = PACE if per_second is None else max(PACE, timedelta(seconds=1 / per_second))
    for found, looked_up_to in steps(wanted, after=int(context.metadata.get(POSITION, 0))):
        context.raise_if_cancelled()
        is_cut = at_most is not None and len(found) > at_most
        ids = found[:at_most]
        done += end(ids)
        context.metadata[DONE] = done
        context.metadata[POSITION] = ids[-1] if is_cut else looked_up_to
        context.save_metadata()
        context.set_progress(done, None if total is None else max(total, done))
        if at_most is not None and ids:
            raise Snooze(pace)
    return {"done": done}
