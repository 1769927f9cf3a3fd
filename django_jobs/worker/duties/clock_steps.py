"""Notice that the database's clock was set back, and clamp the instants that are now too far ahead of it."""

from __future__ import annotations

import logging
import time

from ...policy.clock_steps import ClockReading, step_back
from ...store.clock import database_now
from ...store.future_instants import future_instants
from ..execution.runtime import WorkerContext
from .table_walk import TableWalk, Walk

logger = logging.getLogger("django_jobs.worker")

PASS_INTERVAL_SECONDS = 30.0


class ClockSteps:
    """``step`` compares the database's clock with this host's monotonic one, and checks the next windows of tables.

    A pass begins with the worker, every half a minute, for steps that nobody has seen, and at a step.
    """

    def __init__(self, context: WorkerContext) -> None:
        kinds = future_instants(unknown_delay=context.rules.unknown_retry_delay)
        self._walk = TableWalk(
            [Walk(kind.name, kind.clamp, kind.start) for kind in kinds],
            interval_seconds=PASS_INTERVAL_SECONDS,
            using=context.using,
        )
        self._using = context.using
        self._last: ClockReading | None = None

    def step(self) -> None:
        """Do one round."""
        before = time.monotonic()
        reading = ClockReading(before, database_now(using=self._using), time.monotonic())
        step = step_back(self._last, reading) if self._last is not None else None
        self._last = reading
        if step:
            logger.warning(
                "the database's clock was set back by %.0f s; instants too far ahead of it are corrected",
                step.total_seconds(),
            )
            self._walk.restart()
        for name, changed in self._walk.step():
            logger.warning("%s %s were in the future; they are corrected", changed, name)
