"""Notice that the database's clock was set: clamp instants too far ahead of it, distrust heartbeats too far behind."""

from __future__ import annotations

import logging
import time

from ...policy.clock_steps import ClockReading, step_back, step_forward
from ...store.future_instants import future_instants
from ..execution.runtime import WorkerContext
from .table_walk import TableWalk, Walk

logger = logging.getLogger("django_jobs.worker")

PASS_INTERVAL_SECONDS = 300.0


class ClockSteps:
    """``step`` compares the database's clock with this host's monotonic one, and checks the next windows of tables.

    A pass begins with the worker, at a step, and every five minutes, for steps that nobody has seen.
    """

    def __init__(self, context: WorkerContext) -> None:
        kinds = future_instants(unknown_delay=context.rules.unknown_retry_delay)
        self._walk = TableWalk(
            [Walk(kind.name, kind.clamp, kind.start) for kind in kinds],
            interval_seconds=PASS_INTERVAL_SECONDS,
            using=context.using,
        )
        self._last: ClockReading | None = None
        self._stale_after = context.settings.worker.stale_after
        self._distrust_until = 0.0

    def step(self, reading: ClockReading) -> None:
        """Do one round."""
        last, self._last = self._last, reading
        if last is not None:
            self._compare(last, reading)
        for name, changed in self._walk.step():
            logger.warning("%s %s were in the future; they are corrected", changed, name)

    def _compare(self, last: ClockReading, reading: ClockReading) -> None:
        if back := step_back(last, reading):
            logger.warning(
                "the database's clock was set back by %.0f s; instants too far ahead of it are corrected",
                back.total_seconds(),
            )
            self._walk.restart()
        if forward := step_forward(last, reading):
            logger.warning(
                "the database's clock was set forward by %.0f s, or this host was suspended; no worker counts as lost"
                " for the next %s",
                forward.total_seconds(),
                self._stale_after,
            )
            self._distrust_until = time.monotonic() + self._stale_after.total_seconds()

    @property
    def trusts_heartbeats(self) -> bool:
        """False for WORKER["STALE_AFTER"] after a step forward, in which every living worker renews its heartbeat."""
        return time.monotonic() >= self._distrust_until
