"""Fires schedules on time: sleeps until the next is due or one has changed, then has the store decide.

Every worker process has one and none is special: each tick is one unique row.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from ...conf import Settings
from ...schedules import all_schedules
from ...staff_schedules import spec_from_row
from ...store.clock import database_now
from ...store.schedules.definitions import SyncResult, sync_schedules
from ...store.schedules.tick import seconds_until_next_check, tick
from ...store.schedules.tick_round import TickResult

logger = logging.getLogger("django_jobs.scheduler")

MAX_SLEEP_SECONDS = 60.0
MIN_SLEEP_SECONDS = 0.001
LOCKED_PAUSE_SECONDS, MAX_LOCKED_PAUSE_SECONDS = 0.01, 0.5
"""Between looks while other schedulers hold all that is due: growing, for one of them may be frozen."""


class Scheduler:
    """``step`` is one round: what is due is fired. It returns how long nothing will be.

    ``started`` is this host's monotonic clock when the code at hand began to run, in seconds. If not ``is_listening``
    for a change of a schedule, it looks every ``poll_interval`` whether there was one: two statements that read
    one entry of an index.
    """

    def __init__(self, *, settings: Settings, started: float, is_listening: Callable[[], bool]) -> None:
        self._settings = settings
        self._started = started
        self._is_listening = is_listening
        self._is_synced = False
        self._locked_pause = LOCKED_PAUSE_SECONDS

    def step(self) -> float:
        """Fire what is due and return the seconds until there is reason to look again."""
        using = self._settings.database
        if not self._is_synced:
            log_sync(sync_code_schedules(using=using, started=self._started))
            self._is_synced = True
        left = seconds_until_next_check(using=using)
        while left == 0:
            ticked = fire_due(using=using)
            log_ticks(ticked)
            left = seconds_until_next_check(using=using)
            if left == 0 and not ticked.looked_at:
                pause, self._locked_pause = (
                    self._locked_pause,
                    min(2 * self._locked_pause, MAX_LOCKED_PAUSE_SECONDS),
                )
                return pause
        self._locked_pause = LOCKED_PAUSE_SECONDS
        longest = (
            MAX_SLEEP_SECONDS if self._is_listening() else self._settings.worker.poll_interval.total_seconds()
        )
        return longest if left is None else max(min(left, longest), MIN_SLEEP_SECONDS)


def sync_code_schedules(*, using: str, started: float) -> SyncResult:
    """Bring the rows in step with this process's code; ``started`` as for ``Scheduler``."""
    age = timedelta(seconds=time.monotonic() - started)
    started_at: datetime = database_now(using=using) - age
    specs = [definition.spec() for definition in all_schedules()]
    return sync_schedules(specs, judge=spec_from_row, started_at=started_at, using=using)


def fire_due(*, using: str) -> TickResult:
    """Fire all that is due now, round by round; return what came of them together."""
    total = TickResult()
    while True:
        one = tick(using=using)
        total = TickResult(
            fired=total.fired + one.fired,
            waiting=total.waiting + one.waiting,
            skipped=total.skipped + one.skipped,
            missed=total.missed + one.missed,
            problems=total.problems + one.problems,
            max_lateness=max(total.max_lateness, one.max_lateness),
            looked_at=total.looked_at + one.looked_at,
        )
        if not one.full:
            return total


def log_sync(synced: SyncResult) -> None:
    """Log what a sync has changed."""
    for names, what in (
        (synced.made, "new"),
        (synced.changed, "changed"),
        (synced.disabled, "no longer defined in code, and disabled"),
    ):
        if names:
            logger.info("schedules %s: %s", what, ", ".join(names[:20]) + (" ..." if len(names) > 20 else ""))
    for problem in synced.problems:
        logger.error("a schedule cannot be fired and waits until it is mended: %s", problem)


def log_ticks(ticked: TickResult) -> None:
    """Log what came of a round, loudly where something was missed."""
    for problem in ticked.problems:
        logger.error("a schedule cannot be fired and waits until it is mended: %s", problem)
    if ticked.missed:
        logger.warning("%s ticks were missed while no scheduler was there", ticked.missed)
    if ticked.fired or ticked.skipped or ticked.waiting:
        logger.debug(
            "fired %s, skipped %s, waiting %s, latest %s late",
            ticked.fired,
            ticked.skipped,
            ticked.waiting,
            ticked.max_lateness,
        )
