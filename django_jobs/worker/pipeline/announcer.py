"""Send the signals of saved runs from a thread of its own: a slow receiver delays neither claims nor finishes."""

from __future__ import annotations

from ...store.dialects.base.jobs import FinishedRun
from ...store.lifecycle.signals import announce_ends
from ..execution.runtime import RunContext
from ..threads.batch_queue import BatchQueue


class Announcer:
    """Sends the signals of the runs in ``queue``; ``collect`` and ``step`` handle one batch."""

    def __init__(self, context: RunContext) -> None:
        self.queue: BatchQueue[FinishedRun] = BatchQueue(max_items=100)
        self._context = context
        self._batch: list[FinishedRun] = []

    def collect(self, seconds: float | None = None) -> bool:
        """Wait for a batch, or keep the last one if its jobs could not be read; tell whether there is a step to do."""
        self._batch = self._batch or self.queue.take(seconds=seconds)
        return bool(self._batch or self.queue.is_ended)

    def step(self) -> float | None:
        """Send the signals of the batch."""
        announce_ends(self._batch, worker_id=self._context.worker_id, using=self._context.using)
        self._batch = []
        return None if self.queue.is_ended else 0
