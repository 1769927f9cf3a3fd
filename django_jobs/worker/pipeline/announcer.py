"""Send the signals of saved runs from a thread of its own: a slow receiver delays neither claims nor finishes."""

from __future__ import annotations

from ...store.dialects.base.jobs import FinishedRun
from ...store.lifecycle.signals import send_signals
from ..threads.batch_queue import BatchQueue


class Announcer:
    """Sends the signals of the runs in ``queue``; ``collect`` and ``step`` handle one batch."""

    def __init__(self, *, using: str) -> None:
        self.queue: BatchQueue[FinishedRun] = BatchQueue(max_items=100)
        self._using = using
        self._batch: list[FinishedRun] = []

    def collect(self) -> None:
        """Wait for a batch, or keep the last one if its jobs could not be read."""
        self._batch = self._batch or self.queue.take()

    def step(self) -> float | None:
        """Send the signals of the batch."""
        send_signals(self._batch, using=self._using)
        self._batch = []
        return None if self.queue.is_ended else 0
