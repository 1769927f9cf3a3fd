"""Keep the executors in work: promote what is due, claim as much as starts soon, give back what does not.

One round: look from the head where that is due, claim from the known lines, hand over. Where there is
nothing to claim, sleep until the doorbell rings, scheduled work is due, or the poll's time has come.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Sequence

from ... import registry
from ...conf import Settings
from ...policy.claim_cursors import ClaimCursors, Lane
from ...policy.flags import AFFECTS_OTHERS
from ...policy.outcomes import Released
from ...policy.prefetch import Backlog, RunTimes, claim_limit, mixed_claim_limit, slots_free_soon
from ...policy.queue_order import QueueOrder
from ...store.clock import DatabaseClock
from ...store.lifecycle.claim import Claim, QueueSnapshot, claim, refresh_cursors
from ...store.lifecycle.promote import promote
from ...store.lifecycle.unanswered_claims import unanswered_claims
from ...store.limits.admit import admit
from ..executors.base import Executor, take_unstarted
from ..executors.isolation import Isolation

logger = logging.getLogger("django_jobs.worker")

STALLED_SECONDS = 1.0
"""What was claimed and not begun for so long, because the executors are all held up, is given back."""
MIN_IDLE_SECONDS = 0.01
FULL_RECHECK_SECONDS = STALLED_SECONDS / 4
"""How soon to look again at executors that are full, should none of them say that it has room."""
LIMITS_RECHECK_SECONDS = 0.05
"""How soon to look again at limits that had nothing to give out, or that other workers had locked."""
UNANSWERED_CHECK_SECONDS = 60.0
"""How often to ask the database which jobs it holds for claimed; after an error of a claim, at once."""
_SHARE_SMOOTHING = 0.2
_MIN_SHARE = 0.001
_EMPTY = Backlog(idle=0, free=0, waiting=0, waiting_seconds=0)


class Claimer:
    """Decides how many to claim, and when; ``step`` is one round and returns the seconds until the next.

    ``capacity`` returns how many jobs the process may still claim (``--max-jobs``); ``release_claim`` takes
    claims that are not to be run here.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        queues: Sequence[str] | None,
        queue_order: QueueOrder,
        clock: DatabaseClock,
        worker_id: Callable[[], int],
        threads: Executor,
        event_loop: Executor,
        isolation: Isolation,
        run_times: RunTimes,
        active_claims: dict[int, Claim],
        backlog: Callable[[], int],
        release_claim: Callable[[Claim, Released], None],
        poll_seconds: Callable[[], float],
        wake: Callable[[], None],
        max_jobs: int | None = None,
    ) -> None:
        self._wants_more = False
        self.last_snapshot: QueueSnapshot | None = None
        self._settings = settings
        self._queues = queues
        self._clock = clock
        self._worker_id = worker_id
        self._threads, self._event_loop = threads, event_loop
        self._isolation = isolation
        self._run_times = run_times
        self._active_claims = active_claims
        self._backlog = backlog
        self._release_claim = release_claim
        self._poll_seconds = poll_seconds
        self._wake = wake
        self._jobs_left = math.inf if max_jobs is None else max_jobs
        self._cursors = ClaimCursors()
        self._queue_order = queue_order
        self._next_due_at = self._next_admission_at = math.inf
        self._short_polls_until = 0.0
        self._idle_seconds = MIN_IDLE_SECONDS
        self._async_shares: dict[str, float] = {}
        self._executor_backlogs = (_EMPTY, _EMPTY)
        self._last_started_count, self._last_start_at = -1, 0.0
        self._next_unanswered_check_at = time.monotonic() + UNANSWERED_CHECK_SECONDS

    def step(self) -> float:
        """Do one round."""
        now = time.monotonic()
        if now >= self._next_unanswered_check_at:
            self._release_unanswered()
            self._next_unanswered_check_at = now + UNANSWERED_CHECK_SECONDS
        self._release_stalled(now)
        self._wants_more = True
        if not self._may_claim(now):
            return FULL_RECHECK_SECONDS
        if now >= self._next_due_at:
            self._promote()
        if now >= self._next_admission_at:
            self._admit()
        if self._cursors.snapshot_due(now):
            self._look()
        if not self._cursors.known:
            self._wants_more = False
            return self._idle(now)
        claimed = self._claim_in_order()
        if not claimed and self._cursors.known:
            return FULL_RECHECK_SECONDS
        self._wants_more = False
        if claimed:
            self._idle_seconds = MIN_IDLE_SECONDS
        if self._cursors.known:
            self._cursors.postpone_snapshot(time.monotonic())
        return 0

    def ring(self, awake_seconds: float) -> None:
        """Look now, and keep looking at short intervals for ``awake_seconds``."""
        self._short_polls_until = time.monotonic() + awake_seconds
        self._idle_seconds = MIN_IDLE_SECONDS
        self._wake()

    def on_capacity(self) -> None:
        """Take note that an executor has room for more."""
        if self._wants_more:
            self._wants_more = False
            self._wake()

    def wake_in(self, delay_seconds: float) -> None:
        """Take note that a job was just scheduled, due after ``delay_seconds``."""
        due_at = time.monotonic() + delay_seconds
        if due_at < self._next_due_at:
            self._next_due_at = due_at
            self._wake()

    def ended(self, claims: Iterable[Claim]) -> None:
        """Look now where runs have ended for whose end others may have waited: at a limit, or in a capped queue."""
        if any(one.flags & AFFECTS_OTHERS or one.queue_name in self._cursors.capped for one in claims):
            self.wake_in(0)

    def seen_queues(self) -> set[str]:
        """Return the queues in which the last look found something."""
        return {line.queue_name for line in self.last_snapshot.lines} if self.last_snapshot else set()

    @property
    def is_max_jobs_reached(self) -> bool:
        """True once ``max_jobs`` have been claimed."""
        return self._jobs_left < 1

    @property
    def has_no_work(self) -> bool:
        """True where the last look found nothing to claim and nothing due."""
        next_at = min(self._next_due_at, self._next_admission_at)
        return self.last_snapshot is not None and not self._cursors.known and next_at > time.monotonic()

    def _may_claim(self, now: float) -> bool:
        """Take stock and tell whether any executor could do with more."""
        if self._jobs_left < 1 or self._backlog() > 2 * self._settings.worker.claim_batch_size:
            return False
        self._executor_backlogs = (
            self._measure_backlog(self._threads, now),
            self._measure_backlog(self._event_loop, now),
        )
        return any(
            stock.waiting < self._settings.worker.claim_batch_size // 2 for stock in self._executor_backlogs
        )

    def _measure_backlog(self, executor: Executor, now: float) -> Backlog:
        horizon = self._settings.worker.prefetch_horizon.total_seconds()
        running = [(self._run_times.expected(one.name), now - since) for one, since in executor.running()]
        waiting = list(executor.waiting)
        idle = max(executor.slots - len(running), 0)
        return Backlog(
            idle=idle,
            free=slots_free_soon(running, idle=idle, horizon_seconds=horizon),
            waiting=len(waiting),
            waiting_seconds=sum(self._run_times.expected(one.name) for one in waiting),
        )

    def _claim_in_order(self) -> int:
        """Claim from the known lines, those whose turn it is first, and return how many."""
        claimed = 0
        for line in self._queue_order.order(self._cursors.known):
            claimed += self._claim(line)
            if line in self._cursors.known and not self._queue_order.may_skip_lanes:
                break
        return claimed

    def _claim(self, line: Lane) -> int:
        """Claim from one line as much as there is room for, hand it over, and return how many."""
        limit = self._limit(line.queue_name)
        if limit < 1:
            return 0
        next_unanswered_check_at, self._next_unanswered_check_at = self._next_unanswered_check_at, 0.0
        claims = claim(
            self._cursors, line, limit=limit, worker_id=self._worker_id(), using=self._settings.database
        )
        self._next_unanswered_check_at = next_unanswered_check_at
        if claims:
            self._queue_order.record_claimed(line, len(claims))
            self._dispatch(line.queue_name, claims)
        return len(claims)

    def _limit(self, queue_name: str) -> int:
        """Return how many jobs to claim from a queue, by its jobs' usual length and the share of async ones."""
        rooms = [
            claim_limit(
                stock,
                typical_seconds=self._run_times.typical(queue_name),
                horizon_seconds=self._settings.worker.prefetch_horizon.total_seconds(),
                max_waiting=self._settings.worker.claim_batch_size,
            )
            for stock in self._executor_backlogs
        ]
        share = self._share(queue_name)
        if share is None:
            both = min(max(rooms), 1)
        else:
            both = mixed_claim_limit(sync_limit=rooms[0], async_limit=rooms[1], async_share=share)
        return int(min(both, self._settings.worker.claim_batch_size, self._jobs_left))

    def _share(self, queue_name: str) -> float | None:
        """Return the share of async jobs among those claimed from a queue, at first among those meant for it.

        None: nothing is known of the queue; one job will tell.
        """
        if queue_name not in self._async_shares:
            meant = [
                definition.is_async and not self._isolation.isolates_all
                for definition in registry.all_definitions()
                if definition.options.resolve("queue_name") == queue_name
            ]
            if not meant:
                return None
            self._async_shares[queue_name] = sum(meant) / len(meant)
        return self._async_shares[queue_name]

    def _promote(self) -> None:
        self._next_due_at = math.inf
        while promote(using=self._settings.database):
            pass
        self._look()

    def _admit(self) -> None:
        """Let in who waits at limits that have room. Where others hold all of these, do not ask again at once."""
        self._next_admission_at = math.inf
        granted = 0
        while True:
            admitted = admit(using=self._settings.database)
            granted += admitted.granted
            if not admitted.more:
                break
        self._look()
        if not granted:
            self._next_admission_at = max(self._next_admission_at, time.monotonic() + LIMITS_RECHECK_SECONDS)

    def _look(self) -> None:
        seen = refresh_cursors(self._cursors, queues=self._queues, using=self._settings.database)
        self._clock.set(seen.now)
        self.last_snapshot = seen
        if seen.next_due is not None:
            wait = (seen.next_due - seen.now).total_seconds()
            self._next_due_at = min(self._next_due_at, time.monotonic() + max(wait, 0))
        if seen.next_admission is not None:
            wait = (seen.next_admission - seen.now).total_seconds()
            self._next_admission_at = min(self._next_admission_at, time.monotonic() + max(wait, 0))

    def _idle(self, now: float) -> float:
        """Return how long to sleep: briefly after a ring, else ever longer up to the poll's interval."""
        until_due = max(min(self._next_due_at, self._next_admission_at) - time.monotonic(), 0)
        if now < self._short_polls_until:
            return min(MIN_IDLE_SECONDS, until_due)
        wait = min(self._idle_seconds, self._poll_seconds())
        self._idle_seconds = min(self._idle_seconds * 2, 60)
        return min(wait, until_due)

    def _dispatch(self, queue_name: str, claims: list[Claim]) -> None:
        """Give each claim to the executor of its kind and count it."""
        self._jobs_left -= len(claims)
        self._active_claims.update((one.job_id, one) for one in claims)
        plain: list[Claim] = []
        on_loop: list[Claim] = []
        for one in claims:
            definition = registry.find(one.name)
            is_async = definition is not None and definition.is_async and not self._isolation.isolates(one)
            (on_loop if is_async else plain).append(one)
        each = self._run_times.typical(queue_name)
        for executor, stock, part in zip(
            (self._threads, self._event_loop), self._executor_backlogs, (plain, on_loop), strict=True
        ):
            if part:
                stock.add(len(part), each)
                executor.low_water_mark = stock.waiting // 2
                executor.submit(part)
        share = len(on_loop) / len(claims)
        before = self._share(queue_name)
        moved = share if before is None else before + _SHARE_SMOOTHING * (share - before)
        self._async_shares[queue_name] = 0.0 if moved < _MIN_SHARE else moved

    def _release_stalled(self, now: float) -> None:
        """Give back what waits behind runs that turned out long, so that another worker can have it."""
        if self._threads.started_count != self._last_started_count or not self._threads.waiting:
            self._last_started_count, self._last_start_at = self._threads.started_count, now
        elif now - self._last_start_at > STALLED_SECONDS:
            for one in take_unstarted(self._threads):
                self._release_claim(one, Released(started=False))

    def _release_unanswered(self) -> None:
        """Give back what the server claimed for this worker before a connection broke that was to bring the answer.

        Nobody else would: this worker lives, and its claims are its own. Such a claim may also be made late, by a
        statement that was long under way; hence the look now and then.
        """
        known = self._active_claims.copy()
        unheard = unanswered_claims(known, worker_id=self._worker_id(), using=self._settings.database)
        for one in unheard:
            self._active_claims[one.job_id] = one
            self._release_claim(one, Released(started=False))
        if unheard:
            logger.warning(
                "%s jobs were claimed and the answer never came; they are given back", len(unheard)
            )
