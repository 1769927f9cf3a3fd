"""Fire schedules on time: sleep until the next is due or one has changed, then let the store decide.

Every worker process has a scheduler, and all are equal: each tick is one unique row.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial

from ...conf import Settings, project_name
from ...hooks import hook_metadata_by_name, load_hooks
from ...log_records import record_fields
from ...observers import listeners, tell_ticks_decided
from ...policy.plurals import counted
from ...policy.schedule import TickOutcome
from ...schedules import all_schedules, spec_from_row
from ...store.clock import database_now
from ...store.schedules.definitions import SyncResult, sync_schedules
from ...store.schedules.tick import seconds_until_next_check, tick
from ...store.schedules.tick_round import TickResult
from ...store.transactions import savepoint
from ..system.forked_copies import end_copy_since, fork_count
from .notifiers import Notifier

logger = logging.getLogger("django_jobs.scheduler")

MAX_SLEEP_SECONDS = 60.0
MIN_SLEEP_SECONDS = 0.001
LOCKED_PAUSE_SECONDS, MAX_LOCKED_PAUSE_SECONDS = 0.01, 0.5
"""Growing pauses while other schedulers lock all due schedules: one of them may be frozen."""


class Scheduler:
    """``step`` is one round: it fires due schedules and returns the seconds until the next. ``wake`` ends the pause.

    ``started`` is when this process's code began to run, by this host's monotonic clock. If ``notifier`` does not
    listen for changed schedules, ``step`` checks every poll interval: two statements that read one index entry.
    """

    def __init__(self, settings: Settings, notifier: Notifier, *, started: float) -> None:
        self.wake = threading.Event()
        self._settings = settings
        self._notifier = notifier
        self._started = started
        self._is_synced = False
        self._locked_pause = LOCKED_PAUSE_SECONDS

    def step(self) -> float:
        """Fire due schedules and return the seconds until the next check."""
        using = self._settings.database
        if not self._is_synced:
            log_sync(sync_code_schedules(using=using, started=self._started))
            self._is_synced = True
        left = seconds_until_next_check(using=using)
        while left == 0:
            ticked = fire_due(using=using)
            if listeners:
                tell_ticks_decided(count_ticks(ticked))
            log_ticks(ticked)
            left = seconds_until_next_check(using=using)
            if left == 0 and not ticked.checked:
                pause = self._locked_pause
                self._locked_pause = min(2 * pause, MAX_LOCKED_PAUSE_SECONDS)
                return pause
        self._locked_pause = LOCKED_PAUSE_SECONDS
        max_sleep = MAX_SLEEP_SECONDS
        if not self._notifier.is_listening_for_schedules:
            max_sleep = self._settings.worker.poll_interval.total_seconds()
        return max_sleep if left is None else max(min(left, max_sleep), MIN_SLEEP_SECONDS)


def sync_code_schedules(*, using: str, started: float) -> SyncResult:
    """Synchronize the rows with this process's code; ``started`` as for ``Scheduler``."""
    age = timedelta(seconds=time.monotonic() - started)
    started_at: datetime = database_now(using=using) - age
    specs = [definition.spec() for definition in all_schedules()]
    return sync_schedules(specs, judge=spec_from_row, started_at=started_at, using=using)


def fire_due(*, using: str) -> TickResult:
    """Fire all due schedules, round by round; return the sum of the rounds."""
    total, metadata_source = TickResult(), partial(_metadata_of_tick, using=using)
    while True:
        ticked = tick(metadata_source=metadata_source, using=using)
        total = TickResult(
            fired=total.fired + ticked.fired,
            waiting=total.waiting + ticked.waiting,
            skipped=total.skipped + ticked.skipped,
            missed=total.missed + ticked.missed,
            problems=total.problems + ticked.problems,
            max_lateness=max(total.max_lateness, ticked.max_lateness),
            checked=total.checked + ticked.checked,
        )
        if not ticked.full:
            return total


def _metadata_of_tick(name: str, *, using: str) -> Mapping[str, object]:
    """Return what hooks add to a tick's job. If one fails, the tick fires without: there is no caller to tell."""
    forks = fork_count()
    try:
        if not load_hooks():
            return {}
        with savepoint(using=using):
            return hook_metadata_by_name(name)
    except BaseException:  # a hook may raise anything
        text = "job %s: a hook failed; the schedule enqueues it without metadata of the hooks"
        logger.exception(text, name, extra=record_fields(job_name=name))
        return {}
    finally:
        end_copy_since(forks)


def log_sync(synced: SyncResult) -> None:
    """Log the changes of a sync."""
    for level, names, change in (
        (logging.INFO, synced.made, "new"),
        (logging.INFO, synced.changed, "changed"),
        (logging.WARNING, synced.taken_over, "taken over from another project"),
        (logging.WARNING, synced.disabled, f"no longer defined in the code of {project_name()!r}, and disabled"),
    ):
        if names:
            more = " ..." if len(names) > 20 else ""
            logger.log(level, "schedules %s: %s", change, ", ".join(names[:20]) + more)
    for problem in synced.problems:
        logger.error("a schedule cannot be fired until it is corrected: %s", problem)


def count_ticks(ticked: TickResult) -> dict[str, int]:
    """Return the number of ticks of each outcome that occurred."""
    numbers = {
        TickOutcome.FIRED: ticked.fired,
        TickOutcome.WAITING: ticked.waiting,
        TickOutcome.SKIPPED: ticked.skipped,
        TickOutcome.MISSED: ticked.missed,
    }
    return {outcome.value: number for outcome, number in numbers.items() if number}


def log_ticks(ticked: TickResult) -> None:
    """Log the result of a round, with warnings for missed ticks."""
    for problem in ticked.problems:
        logger.error("a schedule cannot be fired until it is corrected: %s", problem)
    if ticked.missed:
        logger.warning("missed %s while no scheduler was running", counted(ticked.missed, "tick"))
    if ticked.fired or ticked.skipped or ticked.waiting:
        logger.debug(
            "fired %s, skipped %s, waiting %s, latest %s late",
            ticked.fired,
            ticked.skipped,
            ticked.waiting,
            ticked.max_lateness,
        )
