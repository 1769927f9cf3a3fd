"""Find and repair rows that contradict each other, which no crash leaves, but manual edits and raw deletes do.

A pass reads the tables a window at a time, one window a table and round of maintenance: bounded statements, whatever
the size of the tables. What a crash may leave is repaired sooner, by ``store/lifecycle/repair.py``.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ... import registry
from ...arguments.serialization import decode
from ...models import Job
from ...policy.limits import RequiredPermit
from ...store.batches.recount import recount_batches
from ...store.dead_letters.recount import recount_groups
from ...store.lifecycle.unblock import release_unblocked
from ...store.limits.repair import repair_permits
from ...store.results.inputs import with_results
from ..execution.runtime import WorkerContext

logger = logging.getLogger("django_jobs.worker")

PASS_INTERVAL_SECONDS = 1_800.0


@dataclass(slots=True)
class _Walk:
    """A check of one table: ``check`` returns the number of repairs and its next ``position``, None at the end."""

    check: Callable[..., tuple[int, Any]]
    start: int | str
    message: str
    position: int | str | None = None


class ConsistencyCheck:
    """``step`` checks the next window of each table, until all have been read; then it waits for half an hour."""

    def __init__(self, context: WorkerContext) -> None:
        self._walks = (
            _Walk(partial(repair_permits, resolve=needs_of_job), 0, "repaired %s permits without a job or a limit"),
            _Walk(release_unblocked, 0, "released %s blocked jobs that waited for nothing"),
            _Walk(recount_batches, 0, "corrected the counts of %s batches"),
            _Walk(recount_groups, "", "corrected the numbers of open dead letters of %s groups"),
        )
        self._using = context.using
        self._next_pass_at = time.monotonic()

    def step(self) -> None:
        """Check the next windows, if a pass is due or under way."""
        if all(walk.position is None for walk in self._walks):
            if time.monotonic() < self._next_pass_at:
                return
            self._next_pass_at = time.monotonic() + PASS_INTERVAL_SECONDS
            for walk in self._walks:
                walk.position = walk.start
        for walk in self._walks:
            if walk.position is not None:
                repaired, walk.position = walk.check(after=walk.position, using=self._using)
                if repaired:
                    logger.warning(walk.message, repaired)


def needs_of_job(job: Job) -> Sequence[RequiredPermit] | None:
    """Return the permits that a job needs by this code, None if it does not know the job or its arguments."""
    definition = registry.find(job.name)
    if definition is None:
        return None
    try:
        return definition.needs(decode(with_results(job.pk, job.arguments, using=job._state.db)))
    except Exception:  # noqa: BLE001 - the key's function is the project's; loading an instance may raise anything
        return None
