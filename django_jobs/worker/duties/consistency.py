"""Find and repair rows that contradict each other, which no crash leaves, but manual edits and raw deletes do.

A pass reads the tables a window at a time. What a crash may leave is repaired sooner, by ``store/lifecycle/repair.py``.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial

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
from .table_walk import TableWalk, Walk

logger = logging.getLogger("django_jobs.worker")

PASS_INTERVAL_SECONDS = 1_800.0


class ConsistencyCheck:
    """``step`` checks the next window of each table, until all have been read; then it waits for half an hour."""

    def __init__(self, context: WorkerContext) -> None:
        walks = (
            Walk("repaired %s permits without a job or a limit", partial(repair_permits, resolve=needs_of_job), 0),
            Walk("released %s blocked jobs that waited for nothing", release_unblocked, 0),
            Walk("corrected the counts of %s batches", recount_batches, 0),
            Walk("corrected the numbers of open dead letters of %s groups", recount_groups, ""),
        )
        self.walk = TableWalk(walks, interval_seconds=PASS_INTERVAL_SECONDS, using=context.using)

    def step(self) -> None:
        """Check the next windows, if a pass is due or under way."""
        for message, repaired in self.walk.step():
            logger.warning(message, repaired)


def needs_of_job(job: Job) -> Sequence[RequiredPermit] | None:
    """Return the permits that a job needs by this code, None if it does not know the job or its arguments."""
    definition = registry.find(job.name)
    if definition is None:
        return None
    try:
        return definition.needs(decode(with_results(job.pk, job.arguments, using=job._state.db)))
    except Exception:  # noqa: BLE001 - the key's function is the project's; loading an instance may raise anything
        return None
