"""Keep the executors busy: promote due jobs, claim as many as start soon, release those that do not.

One round: take a snapshot of the queues if one is due, claim from the known lanes, hand over; it ends when the
executors are full or another snapshot is due, and the next goes on behind it. With nothing to claim, sleep until the
notifier wakes the claimer, scheduled work is due, or the poll interval is over.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Iterable

from ... import registry
from ...policy.claim_cursors import BUSY_SNAPSHOT_SECONDS, IN_VAIN_SHARE, VOIDED_SHARE, ClaimCursors, Lane
from ...policy.flags import AFFECTS_OTHERS
from ...policy.prefetch import Backlog, claim_limit, has_room, mixed_claim_limit, slots_free_soon
from ...store.dialects.base.jobs import FinishedRun
from ...store.lifecycle.claim import Claim, QueueSnapshot, claim, refresh_cursors
from ...store.lifecycle.promote import promote
from ...store.lifecycle.unanswered_claims import unanswered_claims
from ...store.limits.admit import admit
from ..duties.notifiers import Notifier
from ..execution.runtime import WorkerContext
from ..executors.base import Executor, take_unstarted
from .finisher import Finisher

logger = logging.getLogger("django_jobs.worker")

STALLED_SECONDS = 1.0
"""Claims that were not started for this long, because all executors are busy, are released."""
STALLED_ROUND_SECONDS = 1.0
"""After a round that took this long the claimer checks the queues at once: much may have happened meanwhile."""
MIN_IDLE_SECONDS = 0.01
FULL_RECHECK_SECONDS = STALLED_SECONDS / 4
"""Pause before full executors are checked again, unless one reports free capacity."""
LIMITS_RECHECK_SECONDS = 0.05
"""Pause before limits are checked again that had no permits left, or that other workers had locked."""
UNANSWERED_CHECK_SECONDS = 60.0
"""Interval of the check for claims whose answer was lost; after an error of a claim it is due at once."""
MAX_NOTIFIED_QUEUES = 20
MAX_UNKNOWN_WAITING = 8
"""Once so many jobs wait for an executor, no more are claimed only to find out whether a queue's jobs are async."""
MAX_REMEMBERED_QUEUES = 100_000
_SHARE_SMOOTHING = 0.2
_MIN_SHARE = 0.001
_EMPTY = Backlog(idle=0, free=0, waiting=0, waiting_seconds=0)


class Claimer:
    """Decides how many jobs to claim, and when; ``step`` is one round and returns the seconds until the next.

    Setting ``wake`` starts the next round at once. ``checked_at``: when it last checked the queues, or had no room for
    more jobs (monotonic seconds).
    """

    def __init__(
        self,
        context: WorkerContext,
        *,
        threads: Executor,
        event_loop: Executor,
        finisher: Finisher,
        notifier: Notifier,
    ) -> None:
        options = context.options
        self.wake = threading.Event()
        self.last_snapshot: QueueSnapshot | None = None
        self.checked_at = time.monotonic()
        self._context = context
        self._settings = context.settings.worker
        self._queues = options.queues
        self._threads, self._event_loop = threads, event_loop
        self._finisher = finisher
        self._notifier = notifier
        self._run_times = context.run_times
        # Job processes count for themselves.
        self._jobs_left = math.inf if options.max_jobs is None or context.isolates_all else options.max_jobs
        self._cursors = ClaimCursors()
        self._queue_order = options.queue_order()
        self._wants_more = False
        self._was_notified = False
        self._notified_queues: tuple[str, ...] = ()
        self._claimed = 0
        self._round_failed = False
        self._next_due_at = self._next_admission_at = math.inf
        self._short_polls_until = 0.0
        self._idle_seconds = MIN_IDLE_SECONDS
        self._async_shares: dict[str, float | None] = {}
        self._limits: dict[tuple[float, float | None], int] = {}
        self._backlogs = (_EMPTY, _EMPTY)
        self._last_started_count, self._last_start_at = -1, 0.0
        self._next_unanswered_check_at = time.monotonic() + UNANSWERED_CHECK_SECONDS

    def step(self) -> float:
        """Do one round. After one that failed or stalled, and after a notification, no pause of snapshots counts."""
        now = time.monotonic()
        if self._round_failed:
            self._cursors.void_pause()
        self._round_failed = True
        delay = self._round(now)
        self._round_failed = time.monotonic() - now > STALLED_ROUND_SECONDS
        return delay

    def _round(self, now: float) -> float:
        if now >= self._next_unanswered_check_at:
            self._release_unanswered()
            self._next_unanswered_check_at = now + UNANSWERED_CHECK_SECONDS
        self._release_stalled(now)
        self._wants_more = True
        if not self._may_claim(now):
            self.checked_at = now
            return FULL_RECHECK_SECONDS
        if now >= self._next_due_at:
            self._promote()
        if now >= self._next_admission_at:
            self._admit()
        was_notified, self._was_notified = self._was_notified, False
        if self._cursors.snapshot_due(now):
            self._refresh()
        elif not self._cursors.positions and (was_notified or now < self._short_polls_until):
            return self._answer_notification(now, is_new=was_notified)
        return self._claim_known(now)

    def _answer_notification(self, now: float, *, is_new: bool) -> float:
        """Before a snapshot is due, claim from the lanes of notified queues, behind their positions.

        A new notification voids the pause if that finds nothing. In a strict order only a snapshot tells what is first.
        """
        if self._queue_order.may_skip_lanes:
            self._cursors.resume(self._notified_queues)
        was_resumed = bool(self._cursors.positions)
        delay = self._claim_known(now)
        if is_new and not self._claimed:
            self._cursors.void_pause(share=IN_VAIN_SHARE if was_resumed else VOIDED_SHARE)
        return delay if self._claimed or self._cursors.positions else self._idle(now)

    def _claim_known(self, now: float) -> float:
        """Claim from the known lanes; sleep if there are none."""
        self._claimed = 0
        if not self._cursors.positions:
            self._wants_more = False
            return self._idle(now)
        self._claimed = claimed = self._claim_in_order()
        if not claimed and self._cursors.positions:
            return FULL_RECHECK_SECONDS
        self._wants_more = False
        if claimed:
            self._idle_seconds = MIN_IDLE_SECONDS
        if self._cursors.positions:
            self._cursors.postpone_snapshot()
        return 0

    def work_enqueued(self, poll_seconds: float, queue_name: str | None = None) -> None:
        """Start a round now, and poll at short intervals for ``poll_seconds``. ``queue_name`` None: in any queue."""
        now = time.monotonic()
        others = () if now >= self._short_polls_until else self._notified_queues
        if queue_name is not None and queue_name not in others:
            self._notified_queues = (*others[-MAX_NOTIFIED_QUEUES:], queue_name)
        self._short_polls_until = now + poll_seconds
        self._idle_seconds = MIN_IDLE_SECONDS
        self._was_notified = True
        self.wake.set()

    def capacity_freed(self) -> None:
        """Start a round if the last one could not claim enough."""
        if self._wants_more:
            self._wants_more = False
            self.wake.set()

    def work_due_in(self, seconds: float) -> None:
        """Expect a job that is due after ``seconds``."""
        due_at = time.monotonic() + seconds
        if due_at < self._next_due_at:
            self._next_due_at = due_at
            self.wake.set()

    def runs_saved(self, runs: Iterable[FinishedRun]) -> None:
        """Start a round if other jobs may have waited for these runs: at a limit, or in a capped queue."""
        if any(run.claim.flags & AFFECTS_OTHERS or run.claim.queue_name in self._cursors.capped for run in runs):
            self.work_due_in(0)

    @property
    def is_max_jobs_reached(self) -> bool:
        """True once ``max_jobs`` have been claimed."""
        return self._jobs_left < 1

    @property
    def has_no_work(self) -> bool:
        """True if the last snapshot had nothing to claim and nothing due."""
        next_at = min(self._next_due_at, self._next_admission_at)
        return self.last_snapshot is not None and not self._cursors.positions and next_at > time.monotonic()

    def _may_claim(self, now: float) -> bool:
        """Measure the backlogs and tell whether any executor needs more."""
        max_waiting = self._settings.claim_batch_size
        if self._jobs_left < 1 or self._finisher.backlog() > 2 * max_waiting:
            return False
        self._backlogs = (self._measure(self._threads, now), self._measure(self._event_loop, now))
        self._limits.clear()
        return any(backlog.waiting < max_waiting // 2 for backlog in self._backlogs)

    def _measure(self, executor: Executor, now: float) -> Backlog:
        expected = self._run_times.expected
        horizon = self._settings.prefetch_horizon.total_seconds()
        running = [(expected(claim.name), now - since) for claim, since in executor.running()]
        waiting = list(executor.waiting)
        idle = max(executor.capacity - len(running), 0)
        return Backlog(
            idle=idle,
            free=slots_free_soon(running, idle=idle, horizon_seconds=horizon),
            waiting=len(waiting),
            waiting_seconds=sum(expected(claim.name) for claim in waiting),
        )

    def _claim_in_order(self) -> int:
        """Claim from the known lanes in the order of the queues, for a bounded time, and return how many."""
        claimed = 0
        ends_at = time.monotonic() + BUSY_SNAPSHOT_SECONDS
        for lane in self._queue_order.order(self._cursors.known):
            claimed += self._claim(lane)
            is_left = lane in self._cursors.positions
            if (is_left and not self._queue_order.may_skip_lanes) or not self._has_room():
                break
            if time.monotonic() >= ends_at:
                break
        return claimed

    def _has_room(self) -> bool:
        """Tell whether a claim from any queue is allowed."""
        settings = self._settings
        horizon, max_waiting = settings.prefetch_horizon.total_seconds(), settings.claim_batch_size
        return self._jobs_left >= 1 and any(
            has_room(backlog, horizon_seconds=horizon, max_waiting=max_waiting) for backlog in self._backlogs
        )

    def _claim(self, lane: Lane) -> int:
        """Claim from one lane as many as there is capacity for, hand them over, and return how many."""
        limit = self._limit(lane.queue_name)
        if limit < 1:
            return 0
        next_check_at, self._next_unanswered_check_at = self._next_unanswered_check_at, 0.0
        claims = claim(self._cursors, lane, limit=limit, worker_id=self._context.worker_id, using=self._context.using)
        self._next_unanswered_check_at = next_check_at
        self.checked_at = time.monotonic()
        if claims:
            self._queue_order.record_claimed(lane, len(claims))
            self._dispatch(lane.queue_name, claims)
        return len(claims)

    def _limit(self, queue_name: str) -> int:
        """Return how many jobs to claim from a queue, by their typical run time and the share of async ones.

        Computed once for all queues of which the same is known: there may be thousands.
        """
        typical, share = self._run_times.typical(queue_name), self._async_share(queue_name)
        limit = self._limits.get((typical, share))
        if limit is None:
            limit = self._limits[typical, share] = self._compute_limit(typical, share)
        return limit

    def _compute_limit(self, typical_seconds: float, share: float | None) -> int:
        sync_limit, async_limit = (
            claim_limit(
                backlog,
                typical_seconds=typical_seconds,
                horizon_seconds=self._settings.prefetch_horizon.total_seconds(),
                max_waiting=self._settings.claim_batch_size,
            )
            for backlog in self._backlogs
        )
        if share is not None:
            limit = mixed_claim_limit(sync_limit=sync_limit, async_limit=async_limit, async_share=share)
        elif max(backlog.waiting for backlog in self._backlogs) < MAX_UNKNOWN_WAITING:
            limit = min(max(sync_limit, async_limit), 1)
        else:
            limit = min(sync_limit, async_limit, 1)
        return int(min(limit, self._settings.claim_batch_size, self._jobs_left))

    def _async_share(self, queue_name: str) -> float | None:
        """Return the share of async jobs in a queue: of its definitions at first, then of its recent claims.

        Of a queue without definitions of its own, all definitions. None: not known; claim one job to find out.
        """
        if queue_name not in self._async_shares:
            if len(self._async_shares) >= MAX_REMEMBERED_QUEUES:
                self._async_shares.clear()
            self._async_shares[queue_name] = self._defined_async_share(queue_name)
        return self._async_shares[queue_name]

    def _defined_async_share(self, queue_name: str) -> float | None:
        definitions = [
            (definition.options.resolve("queue_name"), definition.is_async and not self._context.isolates_all)
            for definition in registry.all_definitions()
        ]
        own = [is_async for name, is_async in definitions if name == queue_name]
        if own:
            return sum(own) / len(own)
        kinds = {is_async for _, is_async in definitions}
        return float(kinds.pop()) if len(kinds) == 1 else None

    def _promote(self) -> None:
        self._next_due_at = math.inf
        while promote(using=self._context.using):
            pass
        self._refresh()

    def _admit(self) -> None:
        """Admit jobs that wait at limits with free permits. If others have locked all of these, pause a little."""
        self._next_admission_at = math.inf
        granted = 0
        while True:
            admitted = admit(using=self._context.using)
            granted += admitted.granted
            if not admitted.more:
                break
        self._refresh()
        if not granted:
            self._next_admission_at = max(self._next_admission_at, time.monotonic() + LIMITS_RECHECK_SECONDS)

    def _refresh(self) -> None:
        """Take a snapshot of the queues."""
        asked_at = time.monotonic()
        snapshot = refresh_cursors(self._cursors, queues=self._queues, using=self._context.using)
        self.checked_at = time.monotonic()
        self._context.clock.set(snapshot.now, asked_at=asked_at)
        self._context.seen_queues |= {lane.queue_name for lane in snapshot.lanes}
        self.last_snapshot = snapshot
        if snapshot.next_due is not None:
            wait = (snapshot.next_due - snapshot.now).total_seconds()
            self._next_due_at = min(self._next_due_at, time.monotonic() + max(wait, 0))
        if snapshot.next_admission is not None:
            wait = (snapshot.next_admission - snapshot.now).total_seconds()
            self._next_admission_at = min(self._next_admission_at, time.monotonic() + max(wait, 0))

    def _idle(self, now: float) -> float:
        """Return how long to sleep: briefly after a notification, else longer and longer up to the poll interval."""
        until_due = max(min(self._next_due_at, self._next_admission_at) - time.monotonic(), 0)
        if now < self._short_polls_until:
            return min(MIN_IDLE_SECONDS, until_due)
        settings = self._settings
        interval = settings.poll_interval if self._notifier.is_listening else settings.poll_interval_without_notify
        wait = min(self._idle_seconds, interval.total_seconds())
        self._idle_seconds = min(self._idle_seconds * 2, 60)
        return min(wait, until_due)

    def _dispatch(self, queue_name: str, claims: list[Claim]) -> None:
        """Give each claim to the executor of its kind and count it."""
        self._jobs_left -= len(claims)
        self._limits.clear()
        self._context.active_claims.update((claim.job_id, claim) for claim in claims)
        for_threads: list[Claim] = []
        for_loop: list[Claim] = []
        for claimed in claims:
            definition = registry.find(claimed.name)
            is_async = definition is not None and definition.is_async and not self._context.isolates(claimed)
            (for_loop if is_async else for_threads).append(claimed)
        seconds_each = self._run_times.typical(queue_name)
        for executor, backlog, part in zip(
            (self._threads, self._event_loop), self._backlogs, (for_threads, for_loop), strict=True
        ):
            if part:
                backlog.add(len(part), seconds_each)
                executor.low_water_mark = backlog.waiting // 2
                executor.submit(part)
        share = len(for_loop) / len(claims)
        before = self._async_share(queue_name)
        moved = share if before is None else before + _SHARE_SMOOTHING * (share - before)
        self._async_shares[queue_name] = 0.0 if moved < _MIN_SHARE else moved

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
            logger.warning("released %s unanswered claims: the connection broke before the answer", len(unanswered))
