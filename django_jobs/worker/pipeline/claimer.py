"""Keep the executors busy: promote due jobs, claim as many as start soon, release those that do not.

One round: take a snapshot of the queues if one is due, claim from the known lanes, hand over; it ends when the
executors are full or another snapshot is due, and the next goes on behind it. With nothing to claim, sleep until the
notifier wakes the claimer, scheduled work is due, or the poll interval is over. An idle claimer that is told the lane
of a new job claims from it first and looks at the queues afterwards.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable

from django.db import DatabaseError, connections

from ... import registry
from ...policy.chunks import Chunk
from ...policy.claim_cursors import BUSY_SNAPSHOT_SECONDS, IN_VAIN_SHARE, VOIDED_SHARE, ClaimCursors, Lane
from ...policy.flags import AFFECTS_OTHERS
from ...policy.idle_pauses import IdlePauses
from ...policy.notified_lanes import NotifiedLanes
from ...policy.prefetch import Backlog, claim_limit, has_room, mixed_claim_limit, slots_free_soon
from ...store.dialects import is_conflict
from ...store.dialects.base.jobs import FinishedRun
from ...store.lifecycle.claim import Claim, QueueSnapshot, claim, refresh_cursors, spread_claims
from ...store.lifecycle.promote import promote
from ...store.limits.admit import admit
from ..duties.notifiers import Notifier
from ..execution.runtime import WorkerContext
from ..executors.base import Executor
from ..executors.chunks import ClaimedChunk
from .async_shares import AsyncShares
from .finisher import Finisher
from .releases import STALLED_SECONDS, Releases

logger = logging.getLogger("django_jobs.worker")

STALLED_ROUND_SECONDS = 1.0
"""After a round that took this long the claimer checks the queues at once: much may have happened meanwhile."""
FULL_RECHECK_SECONDS = STALLED_SECONDS / 4
"""Pause before full executors are checked again, unless one reports free capacity."""
LIMITS_RECHECK_SECONDS = 0.05
"""Pause before limits are checked again that had no permits left, or that other workers had locked."""
MAX_ACTIVE_CLAIMS = 16_384
"""More is not claimed at once, in chunks: ``StartedJobs`` has room for twice as many."""
MAX_UNKNOWN_WAITING = 8
"""Once so many jobs wait for an executor, no more are claimed only to find out whether a queue's jobs are async."""
MAX_UNDONE_CLAIMS = 5
"""So many claims of a round may be undone by other nodes before the loop pauses."""
_EMPTY = Backlog(idle=0, free=0, waiting=0, waiting_seconds=0)


class Claimer:
    """Decides how many jobs to claim, and when; ``step`` is one round and returns the seconds until the next.

    Setting the notifier starts the next round at once. ``checked_at``: when it last checked the queues, or had no room
    for more jobs (monotonic seconds).
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
        self._notified = NotifiedLanes()
        self._claimed = 0
        self._round_failed = self._awaits_saves = False
        self._next_due_at = self._next_admission_at = math.inf
        self._pauses = IdlePauses()
        self._async_shares = AsyncShares(isolates_all=context.isolates_all)
        self._limits: dict[tuple[float, float | None], int] = {}
        self._backlogs = (_EMPTY, _EMPTY)
        self._releases = Releases(context, threads, started_at=self.checked_at)

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
        self._releases.release_due(now)
        self._wants_more = True
        if not self._may_claim(now):
            self.checked_at = now
            return FULL_RECHECK_SECONDS
        if now >= self._next_due_at:
            self._promote()
        if now >= self._next_admission_at:
            self._admit()
        was_notified, self._was_notified = self._was_notified, False
        lanes = self._notified.take(now)
        if lanes and self._claim_notified(lanes, now):
            return 0 if self._cursors.positions else self._idle(now)
        if self._cursors.snapshot_due(now):
            self._refresh()
        elif not self._cursors.positions and (was_notified or self._pauses.are_short(now)):
            return self._answer_notification(now, is_new=was_notified)
        return self._claim_known(now)

    def _claim_notified(self, lanes: Iterable[Lane], now: float) -> int:
        """Give each idle executor a job of the notified lanes, before the queues are looked at; return how many.

        Only while nothing else is known to wait; in a strict order only a snapshot tells what is first.
        """
        idle = next((found for backlog in self._backlogs if (found := backlog.idle - backlog.waiting) > 0), 0)
        if self._cursors.positions or not self._queue_order.may_skip_lanes or not idle:
            return 0
        self._cursors.add_notified(lanes, now=now)
        self._claimed = claimed = self._claim_in_order(max_jobs=idle)
        if claimed:
            self._notified.claimed(now)
            self._pauses.claimed()
            self._wants_more = bool(self._cursors.positions)
        return claimed

    def _answer_notification(self, now: float, *, is_new: bool) -> float:
        """Before a snapshot is due, claim from the lanes of notified queues, behind their positions.

        A new notification voids the pause if that finds nothing. In a strict order only a snapshot tells what is first.
        """
        if self._queue_order.may_skip_lanes:
            self._cursors.resume(self._notified.queues)
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
            self._pauses.claimed()
        if self._cursors.positions:
            self._cursors.postpone_snapshot()
        return 0

    def work_enqueued(self, poll_seconds: float, queue_name: str | None = None, priority: int | None = None) -> None:
        """Start a round now, and poll at short intervals for ``poll_seconds``. None: in any queue, of any priority."""
        now = time.monotonic()
        is_first = not self._pauses.are_short(now)
        self._notified.add(queue_name, priority, now=now, quiet_seconds=poll_seconds, is_first=is_first)
        self._pauses.notified(now, poll_seconds=poll_seconds)
        self._was_notified = True
        self._notifier.set()

    def capacity_freed(self) -> None:
        """Start a round if the last one could not claim enough."""
        if self._wants_more:
            self._wants_more = False
            self._notifier.set()

    def batch_saved(self) -> None:
        """Start a round if the last one found too much that was not yet saved."""
        if self._awaits_saves:
            self._notifier.set()

    def work_due_in(self, seconds: float) -> None:
        """Expect a job that is due after ``seconds``."""
        due_at = time.monotonic() + seconds
        if due_at < self._next_due_at:
            self._next_due_at = due_at
            self._notifier.set()

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
        """Measure the backlogs and tell whether any executor needs more.

        A process that was frozen waits for its heartbeat: what it claims as a lost worker is taken away from it.
        """
        if now >= self._context.counts_as_lost_at:
            return False
        max_waiting = self._settings.claim_batch_size
        self._awaits_saves = True  # before the check: a batch that is saved meanwhile starts another round
        if self._finisher.backlog() > 2 * max_waiting or len(self._context.active_claims) > MAX_ACTIVE_CLAIMS:
            return False
        self._awaits_saves = False
        if self._jobs_left < 1:
            return False
        self._backlogs = (self._measure(self._threads, now), self._measure(self._event_loop, now))
        self._limits.clear()
        return any(backlog.waiting < max_waiting // 2 for backlog in self._backlogs)

    def _measure(self, executor: Executor, now: float) -> Backlog:
        horizon = self._settings.prefetch_horizon.total_seconds()
        running = [(self._run_times.expected(claim.name), now - since) for claim, since in executor.busy()]
        waiting = list(executor.waiting)
        idle = max(executor.capacity - len(running), 0)
        return Backlog(
            idle=idle,
            free=slots_free_soon(running, idle=idle, horizon_seconds=horizon),
            waiting=len(waiting),
            waiting_seconds=sum(self._expected_seconds(work) for work in waiting + executor.chunks.filling()),
        )

    def _expected_seconds(self, work: Claim | ClaimedChunk) -> float:
        if isinstance(work, ClaimedChunk):
            return self._run_times.expected_of_chunk(work.name, len(work.claims))
        return self._run_times.expected(work.name)

    def _claim_in_order(self, *, max_jobs: float = math.inf) -> int:
        """Claim from the known lanes in the order of the queues, for a bounded time, and return how many."""
        claimed = 0
        ends_at = time.monotonic() + BUSY_SNAPSHOT_SECONDS
        for lane in self._queue_order.order(self._cursors.known):
            claimed += self._claim(lane, max_jobs=max_jobs - claimed)
            is_left = lane in self._cursors.positions
            if claimed >= max_jobs or (is_left and not self._queue_order.may_skip_lanes) or not self._has_room():
                break
            if time.monotonic() >= ends_at:
                break
        return claimed

    def _has_room(self) -> bool:
        """Tell whether a claim from any queue is allowed."""
        horizon, max_waiting = self._settings.prefetch_horizon.total_seconds(), self._settings.claim_batch_size
        return self._jobs_left >= 1 and any(
            has_room(backlog, horizon_seconds=horizon, max_waiting=max_waiting) for backlog in self._backlogs
        )

    def _claim(self, lane: Lane, *, max_jobs: float) -> int:
        """Claim from one lane as many as there is capacity for, hand them over, and return how many."""
        limit = int(min(self._limit(lane.queue_name), max_jobs))
        if limit < 1:
            return 0
        check_due_at = self._releases.expect_answer()
        claims = self._claim_somewhere(lane, limit)
        self._releases.answered(check_due_at)
        self.checked_at = time.monotonic()
        if claims:
            self._queue_order.record_claimed(lane, len(claims))
            self._dispatch(lane.queue_name, claims)
        return len(claims)

    def _claim_somewhere(self, lane: Lane, limit: int) -> list[Claim]:
        """Claim; after a conflict with another node of a Galera cluster, try again further down the lane."""
        using = self._context.using
        for _ in range(MAX_UNDONE_CLAIMS):
            try:
                return claim(self._cursors, lane, limit=limit, worker_id=self._context.worker_id, using=using)
            except DatabaseError as error:
                if not is_conflict(connections[using], error):
                    raise
                if not spread_claims(self._cursors, lane, limit=limit, using=using):
                    raise
        return claim(self._cursors, lane, limit=limit, worker_id=self._context.worker_id, using=using)

    def _limit(self, queue_name: str) -> int:
        """Return how many jobs to claim from a queue, by their typical run time and the share of async ones.

        Computed once for all queues of which the same is known: there may be thousands.
        """
        typical, share = self._run_times.typical(queue_name), self._async_shares.expected(queue_name)
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
        self._notified.snapshot_taken()
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
        """Return how long to sleep: no longer than until the next scheduled job is due."""
        until_due = max(min(self._next_due_at, self._next_admission_at) - time.monotonic(), 0)
        settings, is_listening = self._settings, self._notifier.is_listening
        interval = settings.poll_interval if is_listening else settings.poll_interval_without_notify
        return min(self._pauses.next(now, interval=interval.total_seconds(), is_listening=is_listening), until_due)

    def _dispatch(self, queue_name: str, claims: list[Claim]) -> None:
        """Give each claim to the executor of its kind and count it."""
        self._jobs_left -= len(claims)
        self._limits.clear()
        self._context.active_claims.update((claim.job_id, claim) for claim in claims)
        for_threads: list[Claim] = []
        for_loop: list[Claim] = []
        chunked: dict[Executor, list[tuple[Claim, Chunk]]] = {}
        for claimed in claims:
            definition = registry.find(claimed.name)
            is_async = definition is not None and definition.is_async and not self._context.isolates(claimed)
            if definition is not None and (chunk := definition.options.chunk) is not None:
                self._run_times.chunk_sizes[claimed.name] = chunk.size
                chunked.setdefault(self._event_loop if is_async else self._threads, []).append((claimed, chunk))
            else:
                (for_loop if is_async else for_threads).append(claimed)
        share_of_loop = (len(for_loop) + len(chunked.get(self._event_loop, ()))) / len(claims)
        seconds_each = self._run_times.typical(queue_name)
        for executor, backlog, part in zip(
            (self._threads, self._event_loop), self._backlogs, (for_threads, for_loop), strict=True
        ):
            if part:
                backlog.add(len(part), seconds_each)
                executor.low_water_mark = backlog.waiting // 2
                executor.submit(part)
        for executor, chunk_claims in chunked.items():
            self._backlogs[executor is self._event_loop].waiting_seconds += len(chunk_claims) * seconds_each
            executor.chunks.add(chunk_claims)
        self._async_shares.record(queue_name, share_of_loop)
