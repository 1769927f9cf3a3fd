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
from ...policy.claim_cursors import Line, ReadyLines
from ...policy.flags import TO_OTHERS
from ...policy.outcomes import Released
from ...policy.prefetch import RunTimes, Stock, free_soon, room, share_room
from ...policy.queue_order import Turns
from ...store.clock import DatabaseClock
from ...store.lifecycle.claim import Claim, Look, claim, look
from ...store.lifecycle.promote import promote
from ...store.lifecycle.unanswered_claims import unheard_claims
from ...store.limits.admit import admit
from ..executors.base import Executor, take_back
from ..executors.isolation import Isolation

logger = logging.getLogger("django_jobs.worker")

STUCK_SECONDS = 1.0
"""What was claimed and not begun for so long, because the executors are all held up, is given back."""
SHORTEST_IDLE_SECONDS = 0.01
HUNGRY_SECONDS = STUCK_SECONDS / 4
"""How soon to look again at executors that are full, should none of them say that it has room."""
HELD_LIMITS_SECONDS = 0.05
"""How soon to look again at limits that had nothing to give out, or that other workers had locked."""
MAKE_SURE_SECONDS = 60.0
"""How often to ask the database which jobs it holds for claimed; after an error of a claim, at once."""
_SHARE_WEIGHT = 0.2
_NO_SHARE = 0.001
_NOTHING = Stock(idle=0, free=0, waiting=0, waiting_seconds=0)


class Claimer:
    """Decides how many to claim, and when; ``step`` is one round and returns the seconds until the next.

    ``capacity`` returns how many jobs the process may still claim (``--max-jobs``); ``give_back`` takes
    claims that are not to be run here.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        queues: Sequence[str] | None,
        turns: Turns,
        clock: DatabaseClock,
        worker_id: Callable[[], int],
        threads: Executor,
        event_loop: Executor,
        isolation: Isolation,
        run_times: RunTimes,
        in_hand: dict[int, Claim],
        backlog: Callable[[], int],
        give_back: Callable[[Claim, Released], None],
        poll_seconds: Callable[[], float],
        wake: Callable[[], None],
        max_jobs: int | None = None,
    ) -> None:
        self._hungry = False
        self.last_look: Look | None = None
        self._settings = settings
        self._queues = queues
        self._clock = clock
        self._worker_id = worker_id
        self._threads, self._event_loop = threads, event_loop
        self._isolation = isolation
        self._run_times = run_times
        self._in_hand = in_hand
        self._backlog = backlog
        self._give_back = give_back
        self._poll_seconds = poll_seconds
        self._wake = wake
        self._left = math.inf if max_jobs is None else max_jobs
        self._lines = ReadyLines()
        self._turns = turns
        self._next_due_at = self._next_grant_at = math.inf
        self._awake_until = 0.0
        self._idle_seconds = SHORTEST_IDLE_SECONDS
        self._async_shares: dict[str, float] = {}
        self._stocks = (_NOTHING, _NOTHING)
        self._begun_before, self._begun_at = -1, 0.0
        self._make_sure_at = time.monotonic() + MAKE_SURE_SECONDS

    def step(self) -> float:
        """Do one round."""
        now = time.monotonic()
        if now >= self._make_sure_at:
            self._give_back_unheard()
            self._make_sure_at = now + MAKE_SURE_SECONDS
        self._give_back_stuck(now)
        self._hungry = True
        if not self._may_claim(now):
            return HUNGRY_SECONDS
        if now >= self._next_due_at:
            self._promote()
        if now >= self._next_grant_at:
            self._admit()
        if self._lines.look_due(now):
            self._look()
        if not self._lines.known:
            self._hungry = False
            return self._idle(now)
        claimed = self._claim_in_turn()
        if not claimed and self._lines.known:
            return HUNGRY_SECONDS
        self._hungry = False
        if claimed:
            self._idle_seconds = SHORTEST_IDLE_SECONDS
        if self._lines.known:
            self._lines.postpone_look(time.monotonic())
        return 0

    def ring(self, awake_seconds: float) -> None:
        """Look now, and keep looking at short intervals for ``awake_seconds``."""
        self._awake_until = time.monotonic() + awake_seconds
        self._idle_seconds = SHORTEST_IDLE_SECONDS
        self._wake()

    def freed(self) -> None:
        """Take note that an executor has room for more."""
        if self._hungry:
            self._hungry = False
            self._wake()

    def expect_due(self, delay_seconds: float) -> None:
        """Take note that a job was just scheduled, due after ``delay_seconds``."""
        due_at = time.monotonic() + delay_seconds
        if due_at < self._next_due_at:
            self._next_due_at = due_at
            self._wake()

    def ended(self, claims: Iterable[Claim]) -> None:
        """Look now where runs have ended for whose end others may have waited: at a limit, or in a capped queue."""
        if any(one.links & TO_OTHERS or one.queue_name in self._lines.capped for one in claims):
            self.expect_due(0)

    def seen_queues(self) -> set[str]:
        """Return the queues in which the last look found something."""
        return {line.queue_name for line in self.last_look.lines} if self.last_look else set()

    @property
    def is_used_up(self) -> bool:
        """True once ``max_jobs`` have been claimed."""
        return self._left < 1

    @property
    def is_nothing_ready(self) -> bool:
        """True where the last look found nothing to claim and nothing due."""
        next_at = min(self._next_due_at, self._next_grant_at)
        return self.last_look is not None and not self._lines.known and next_at > time.monotonic()

    def _may_claim(self, now: float) -> bool:
        """Take stock and tell whether any executor could do with more."""
        if self._left < 1 or self._backlog() > 2 * self._settings.claim_batch:
            return False
        self._stocks = (self._take_stock(self._threads, now), self._take_stock(self._event_loop, now))
        return any(stock.waiting < self._settings.claim_batch // 2 for stock in self._stocks)

    def _take_stock(self, executor: Executor, now: float) -> Stock:
        horizon = self._settings.prefetch_horizon.total_seconds()
        running = [(self._run_times.expected(one.name), now - since) for one, since in executor.running()]
        waiting = list(executor.waiting)
        idle = max(executor.slots - len(running), 0)
        return Stock(
            idle=idle,
            free=free_soon(running, idle=idle, horizon_seconds=horizon),
            waiting=len(waiting),
            waiting_seconds=sum(self._run_times.expected(one.name) for one in waiting),
        )

    def _claim_in_turn(self) -> int:
        """Claim from the known lines, those whose turn it is first, and return how many."""
        claimed = 0
        for line in self._turns.order(self._lines.known):
            claimed += self._claim(line)
            if line in self._lines.known and not self._turns.passes_over:
                break
        return claimed

    def _claim(self, line: Line) -> int:
        """Claim from one line as much as there is room for, hand it over, and return how many."""
        limit = self._limit(line.queue_name)
        if limit < 1:
            return 0
        make_sure_at, self._make_sure_at = self._make_sure_at, 0.0
        claims = claim(
            self._lines, line, limit=limit, worker_id=self._worker_id(), using=self._settings.database
        )
        self._make_sure_at = make_sure_at
        if claims:
            self._turns.took(line, len(claims))
            self._hand_over(line.queue_name, claims)
        return len(claims)

    def _limit(self, queue_name: str) -> int:
        """Return how many jobs to claim from a queue, by its jobs' usual length and the share of async ones."""
        rooms = [
            room(
                stock,
                typical_seconds=self._run_times.typical(queue_name),
                horizon_seconds=self._settings.prefetch_horizon.total_seconds(),
                most=self._settings.claim_batch,
            )
            for stock in self._stocks
        ]
        share = self._share(queue_name)
        if share is None:
            both = min(max(rooms), 1)
        else:
            both = share_room(sync_room=rooms[0], async_room=rooms[1], async_share=share)
        return int(min(both, self._settings.claim_batch, self._left))

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
        self._next_grant_at = math.inf
        granted = 0
        while True:
            admitted = admit(using=self._settings.database)
            granted += admitted.granted
            if not admitted.more:
                break
        self._look()
        if not granted:
            self._next_grant_at = max(self._next_grant_at, time.monotonic() + HELD_LIMITS_SECONDS)

    def _look(self) -> None:
        seen = look(self._lines, queues=self._queues, using=self._settings.database)
        self._clock.set(seen.now)
        self.last_look = seen
        if seen.next_due is not None:
            wait = (seen.next_due - seen.now).total_seconds()
            self._next_due_at = min(self._next_due_at, time.monotonic() + max(wait, 0))
        if seen.next_grant is not None:
            wait = (seen.next_grant - seen.now).total_seconds()
            self._next_grant_at = min(self._next_grant_at, time.monotonic() + max(wait, 0))

    def _idle(self, now: float) -> float:
        """Return how long to sleep: briefly after a ring, else ever longer up to the poll's interval."""
        until_due = max(min(self._next_due_at, self._next_grant_at) - time.monotonic(), 0)
        if now < self._awake_until:
            return min(SHORTEST_IDLE_SECONDS, until_due)
        wait = min(self._idle_seconds, self._poll_seconds())
        self._idle_seconds = min(self._idle_seconds * 2, 60)
        return min(wait, until_due)

    def _hand_over(self, queue_name: str, claims: list[Claim]) -> None:
        """Give each claim to the executor of its kind and count it."""
        self._left -= len(claims)
        self._in_hand.update((one.job_id, one) for one in claims)
        plain: list[Claim] = []
        on_loop: list[Claim] = []
        for one in claims:
            definition = registry.find(one.name)
            is_async = definition is not None and definition.is_async and not self._isolation.isolates(one)
            (on_loop if is_async else plain).append(one)
        each = self._run_times.typical(queue_name)
        for executor, stock, part in zip(
            (self._threads, self._event_loop), self._stocks, (plain, on_loop), strict=True
        ):
            if part:
                stock.add(len(part), each)
                executor.low = stock.waiting // 2
                executor.submit(part)
        share = len(on_loop) / len(claims)
        before = self._share(queue_name)
        moved = share if before is None else before + _SHARE_WEIGHT * (share - before)
        self._async_shares[queue_name] = 0.0 if moved < _NO_SHARE else moved

    def _give_back_stuck(self, now: float) -> None:
        """Give back what waits behind runs that turned out long, so that another worker can have it."""
        if self._threads.begun != self._begun_before or not self._threads.waiting:
            self._begun_before, self._begun_at = self._threads.begun, now
        elif now - self._begun_at > STUCK_SECONDS:
            for one in take_back(self._threads):
                self._give_back(one, Released(started=False))

    def _give_back_unheard(self) -> None:
        """Give back what the server claimed for this worker before a connection broke that was to bring the answer.

        Nobody else would: this worker lives, and its claims are its own. Such a claim may also be made late, by a
        statement that was long under way; hence the look now and then.
        """
        known = self._in_hand.copy()
        unheard = unheard_claims(known, worker_id=self._worker_id(), using=self._settings.database)
        for one in unheard:
            self._in_hand[one.job_id] = one
            self._give_back(one, Released(started=False))
        if unheard:
            logger.warning(
                "%s jobs were claimed and the answer never came; they are given back", len(unheard)
            )
