"""Claims that a claimer gives back: those that wait behind long runs, and those of which it never heard."""

from __future__ import annotations

import logging
import math

from ...policy.plurals import counted
from ...store.lifecycle.unanswered_claims import unanswered_claims
from ..execution.runtime import WorkerContext
from ..executors.base import Executor, take_unstarted

logger = logging.getLogger("django_jobs.worker")

STALLED_SECONDS = 1.0
"""Claims that were not started for this long, because all executors are busy, are released."""
UNANSWERED_CHECK_SECONDS = 60.0
"""Interval of the check for claims whose answer was lost; after an error of a claim it is due at once."""


class Releases:
    """Releases claims through the worker's events; ``threads`` is the executor whose claims may stall.

    ``now`` is in monotonic seconds; the first check for unanswered claims is due an interval after ``started_at``.
    """

    def __init__(self, context: WorkerContext, threads: Executor, *, started_at: float) -> None:
        self._context = context
        self._threads = threads
        self._last_started_count, self._last_start_at = -1, 0.0
        self._next_check_at = started_at + UNANSWERED_CHECK_SECONDS

    def release_due(self, now: float) -> None:
        """Release what is due now."""
        if now >= self._next_check_at:
            self._release_unanswered()
            self._next_check_at = now + UNANSWERED_CHECK_SECONDS
        self._release_stalled(now)

    def expect_answer(self) -> float:
        """Have the next check due at once, should the claim that follows fail; return what ``answered`` takes."""
        due_at, self._next_check_at = self._next_check_at, -math.inf
        return due_at

    def answered(self, due_at: float) -> None:
        """Take that back: the answer to the claim has come."""
        self._next_check_at = due_at

    def _release_stalled(self, now: float) -> None:
        """Release claims that wait behind unexpectedly long runs, so that another worker can have them."""
        if self._threads.started_count != self._last_started_count or not self._threads.waiting:
            self._last_started_count, self._last_start_at = self._threads.started_count, now
        elif now - self._last_start_at > STALLED_SECONDS:
            for stalled in take_unstarted(self._threads):
                self._context.events.claim_released(stalled)

    def _release_unanswered(self) -> None:
        """Release jobs that the server claimed for this worker although the connection broke before the answer.

        No rescue would: this worker lives, and they are its own. Such a claim may also be made late, by a
        statement that was slow; hence the regular check.
        """
        context = self._context
        unanswered = unanswered_claims(context.active_claims.copy(), worker_id=context.worker_id, using=context.using)
        for lost in unanswered:
            context.active_claims[lost.job_id] = lost
            context.events.claim_released(lost)
        if unanswered:
            claims = counted(len(unanswered), "unanswered claim")
            logger.warning("released %s: the connection broke before the answer", claims)
