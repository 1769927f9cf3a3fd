"""Release held jobs when this process has come to know their names: at its start, and when the registry grows."""

from __future__ import annotations

import logging

from ... import registry
from ...policy.plurals import counted
from ...store.lifecycle.held import release_held
from ..execution.runtime import WorkerContext

logger = logging.getLogger("django_jobs.worker")


def _is_known(name: str) -> bool:
    """Tell whether a job of this name can run here; a source of jobs may import its module for that."""
    try:
        return registry.find(name) is not None
    except BaseException:  # an import may raise anything
        logger.exception("no worker here can run %s", name)
        return False


class HeldJobs:
    """``step`` releases those whose names are new since the last time, in the queues that this worker serves.

    A worker with older code, which does not know a name, may claim such a job again and holds it for
    WORKER["UNKNOWN_JOB_RETRY_DELAY"], as before: a name is new only once.
    """

    def __init__(self, context: WorkerContext) -> None:
        self._context = context
        self._known: frozenset[str] = frozenset()

    def step(self) -> None:
        """Release held jobs with new names; no statement if there is no new name."""
        options, names = self._context.options, registry.names()
        if not options.works or names <= self._known:
            return
        new = names - self._known
        released = release_held(
            new.__contains__ if self._known else _is_known,
            unknown_delay=self._context.rules.unknown_retry_delay,
            queues=options.queues,
            using=self._context.using,
        )
        self._known |= names
        if released:
            logger.info("due now, as this worker knows the name: %s", counted(released, "held job"))
            self._context.events.work_due_in(0)
