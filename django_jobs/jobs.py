"""Jobs of the engine's own: what staff do to everything that matches a filter, in small steps, in the background.

Each step ends open letters, so a job that was killed and runs again goes on where it was, and nothing is done
twice; its count may then lack the last step. A rate is kept by snoozing between steps: the job never sits in a
worker, and can be stopped any time.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from .context import current_job
from .definition import job
from .exceptions import Cancelled, Snooze
from .models import DeadLetter
from .policy.letter_filter import LetterFilter
from .store.letter_search import steps
from .store.purge import purge
from .store.redrive import redrive
from .store.resolve import resolve

PACE = timedelta(seconds=1)
"""With a rate: so long between two steps."""
DONE, POSITION = "done", "position"
"""Keys of the job's metadata: letters that were ended, and up to which id it has looked."""


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
        if context.cancel_requested():
            raise Cancelled
        is_cut = at_most is not None and len(found) > at_most
        ids = found[:at_most]
        done += end(ids)
        context.metadata[DONE] = done
        context.metadata[POSITION] = ids[-1] if is_cut else looked_up_to
        context.save_metadata()
        context.set_progress(done, None if total is None else max(total, done))
        if at_most is not None and ids:
            raise Snooze(pace)
    return {DONE: done}
