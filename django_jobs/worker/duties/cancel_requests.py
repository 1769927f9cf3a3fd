"""Notice which of a worker's jobs were asked to end, by one look a second over all, and pass it on to what runs them.

A look costs one statement by the jobs' keys, and is made only where something has been running for a while: whose jobs
are short pays nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from ...policy.outcomes import Released
from ...store.dialects.base.jobs import Claim
from ...store.lifecycle.cancel import cancel_requested_ids
from ..executors.base import Executor

logger = logging.getLogger("django_jobs.worker")

CHECK_INTERVAL_SECONDS = 1.0
MIN_RUNNING_SECONDS = 0.25
"""A worker whose jobs have all been running for less than this does not look."""


class CancelWatcher:
    """``step`` is one look and returns the seconds until the next.

    A request is passed on once a run. What is claimed and has not begun is released instead, by ``release_claim``: its
    finish cancels it.
    """

    def __init__(
        self,
        *,
        using: str,
        executors: tuple[Executor, ...],
        active_claims: dict[int, Claim],
        release_claim: Callable[[Claim, Released], None],
    ) -> None:
        self._using = using
        self._executors = executors
        self._active_claims = active_claims
        self._release_claim = release_claim
        self._notified: dict[int, Claim] = {}

    def step(self) -> float:
        """Look where that is worth it."""
        settled = time.monotonic() - MIN_RUNNING_SECONDS
        if any(since <= settled for executor in self._executors for _, since in executor.running()):
            self._look(self._active_claims.copy())
        return CHECK_INTERVAL_SECONDS

    def _look(self, claims: dict[int, Claim]) -> None:
        self._notified = {pk: claim for pk, claim in self._notified.items() if claims.get(pk) is claim}
        for job_id in cancel_requested_ids(claims.keys() - self._notified.keys(), using=self._using):
            claim = claims[job_id]
            if any(self._deliver(executor, claim) for executor in self._executors):
                self._notified[job_id] = claim
                logger.info("job %s (%s) was asked to end", job_id, claim.name)

    def _deliver(self, executor: Executor, claim: Claim) -> bool:
        try:
            executor.waiting.remove(claim)
        except (ValueError, IndexError):  # it is not there, or others took some away meanwhile
            return executor.interrupt(claim)
        self._release_claim(claim, Released(started=False))
        return True
