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

PERMITS_INTERVAL_SECONDS = 60.0
"""A permit without a job blocks all jobs of its key."""
COUNTS_INTERVAL_SECONDS = 1_800.0
"""To count a batch reads all its members."""


class ConsistencyCheck:
    """``step`` checks the next window of each table; a pass begins with the worker, and again after an interval."""

    def __init__(self, context: WorkerContext) -> None:
        permits = Walk(
            "repaired permits without a job or a limit: %s", partial(repair_permits, resolve=needs_of_job), 0
        )
        counts = (
            Walk(
                "released jobs that were blocked for nothing: %s",
                partial(release_unblocked, resolve=needs_of_job),
                0,
            ),
            Walk("corrected the counts of batches: %s", recount_batches, 0),
            Walk("corrected the numbers of open dead letters of groups: %s", recount_groups, ""),
        )
        self.walks = (
            TableWalk([permits], interval_seconds=PERMITS_INTERVAL_SECONDS, using=context.using),
            TableWalk(counts, interval_seconds=COUNTS_INTERVAL_SECONDS, using=context.using),
        )

    @property
    def is_done(self) -> bool:
        """True between two passes."""
        return all(walk.is_done for walk in self.walks)

    def step(self) -> None:
        """Check the next windows, if a pass is due or under way."""
        for walk in self.walks:
            for message, repaired in walk.step():
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
