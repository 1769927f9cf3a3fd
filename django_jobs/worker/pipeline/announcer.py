"""Send signals from a thread of their own: a slow receiver holds up neither claims nor finishes."""

from __future__ import annotations

from ...store.dialects.base.jobs import FinishedRun
from ...store.lifecycle.signals import send_signals
from ..threads.batch_queue import BatchQueue


class Announcer:
    """Sends the signals of the saved runs that are put into ``saved``; ``collect`` and ``step`` are one batch."""

    def __init__(self, *, using: str) -> None:
        self.saved: BatchQueue[FinishedRun] = BatchQueue(max_items=100)
        self._using = using
        self._batch: list[FinishedRun] = []

    def collect(self) -> None:
        """Wait for a batch, or keep the last one where its jobs could not be read."""
        self._batch = self._batch or self.saved.take()

    def step(self) -> float | None:
        """Send what was collected."""
        send_signals(self._batch, using=self._using)
        self._batch = []
        return None if self.saved.is_ended else 0
