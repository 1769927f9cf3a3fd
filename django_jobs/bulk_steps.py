"""The steps of a built-in job: each is committed with the position of the next, so a killed job resumes there."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from .context import current_job
from .exceptions import Snooze
from .policy.metadata import DONE, POSITION
from .store.bulk import Position, take_step

STEP_INTERVAL = timedelta(seconds=1)
"""Pause between two steps if there is a rate."""


class BulkSteps:
    """Progress of the running job: its position and the number of rows processed."""

    def __init__(self, total: int | None) -> None:
        self._context = current_job()
        self._total = total
        self.position: Position = self._context.metadata.get(POSITION)
        self.done = int(self._context.metadata.get(DONE, 0))

    def take_step(self, work: Callable[[], int], *, next_position: Position) -> None:
        """Do the work and move to ``next_position``.

        Raises Cancel if cancellation was requested, and Snooze if another run of the job, declared lost but still
        alive, is ahead: the next attempt resumes after its work.
        """
        self._context.raise_if_cancelled()
        done = take_step(self._context.job_id, work, position=self.position, next_position=next_position)
        if done is None:
            raise Snooze(STEP_INTERVAL)
        self.position, self.done = next_position, done
        # So that whatever saves this run's metadata saves the position too.
        self._context.metadata |= {POSITION: next_position, DONE: done}
        self._context.set_progress(done, None if self._total is None else max(self._total, done))
