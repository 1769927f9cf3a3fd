"""Periodic duties of the workers: rescue, repair, expire, register queues, roll up, prune, mail the admins.

Every worker does all of them; guarded statements and unique rows make that harmless. A round is one statement if there
is nothing to do.
"""

from __future__ import annotations

import logging
import random
import time
from datetime import datetime

from django.db import Error as DatabaseError
from django.db import connections

from ... import registry
from ...policy.backlog import due_sample, until_next_minute
from ...policy.clock_steps import ClockReading
from ...policy.limits import Ordering
from ...policy.plurals import counted
from ...store.batches.batch import prune_batches
from ...store.dead_letters.group_counts import prune_groups
from ...store.deploys import prune_deploys
from ...store.due_maintenance import DueMaintenance, read_due_maintenance
from ...store.enqueue.prune_keys import prune_keys, prune_once
from ...store.lifecycle.expire import expire
from ...store.lifecycle.prune import prune, prune_records, prune_ticks
from ...store.lifecycle.repair import RepairResult, repair
from ...store.lifecycle.rescue import rescue
from ...store.limits.definitions import sync_limits
from ...store.limits.prune import prune_limits
from ...store.messages.inbox import prune_inbox
from ...store.old_rows import WINDOW
from ...store.queues import ensure_queues
from ...store.results.retention import expire_results
from ...store.search.id_checkpoints import INTERVAL, prune_id_checkpoints, record_id_checkpoint
from ...store.stats.backlog import sample_backlog
from ...store.stats.rollup import prune_rollups, roll_up
from ...store.stats.type_rollup import move_old_types
from ...store.workers import mark_lost_workers
from ..execution.runtime import WorkerContext
from .alert_mails import AlertMails
from .clock_steps import ClockSteps
from .consistency import ConsistencyCheck
from .held_jobs import HeldJobs

logger = logging.getLogger("django_jobs.worker")

FRESH_START_SECONDS = 30.0
PRUNE_INTERVAL_SECONDS = 300.0
RESULTS_INTERVAL_SECONDS = 60.0
WINDOWS_PER_ROUND = 5
MAX_INTERVAL_SECONDS = 5.0
STALE_MARGIN_SECONDS = 0.05
"""Delay of the check after the time at which a worker becomes stale."""
SAMPLE_DELAY_SECONDS = (0.05, 0.5)
"""Delay of a worker's round after the start of a minute: as a rule the others see that the first one has sampled."""


class Maintenance:
    """``step`` is one round: bounded statements, whatever the size of the tables."""

    def __init__(self, context: WorkerContext) -> None:
        self._context = context
        self._settings = context.settings
        self._using = context.using
        # A process that replaces another of the same command has the same code.
        self._is_synced = time.monotonic() - context.options.started > FRESH_START_SECONDS
        self._known_queues: set[str] = set()
        self._next_checkpoint_at = self._next_prune_at = self._next_result_expiry_at = time.monotonic()
        self._prune_from: int | None = None
        self._last_repair = RepairResult()
        self._has_rolled_up = False
        self._read_at = 0.0
        self._sample_delay = random.uniform(*SAMPLE_DELAY_SECONDS)  # noqa: S311 - spreads the workers
        self._consistency = ConsistencyCheck(context)
        self._clock_steps = ClockSteps(context)
        self._held_jobs = HeldJobs(context)
        self._alert_mails = AlertMails(context.settings.alerts, context.using)

    def prepare(self) -> None:
        """Do what comes before the first claim. One statement, as a rule."""
        self._held_jobs.step()

    def step(self) -> float:
        """Do the due duties and return the seconds until the next round."""
        if not self._is_synced:
            self._sync_limits()
        due = self._read_due()
        if minute := due_sample(due.now, due.sampled_at):
            self._sample_backlog(minute)
        self._rescue(due)
        if due.repairs:
            self._repair()
        self._consistency.step()
        if due.expiries:
            self._expire()
        self._held_jobs.step()
        self._register_queues()
        if due.rollups or not self._has_rolled_up:
            roll_up(using=self._using)
            self._has_rolled_up = True
        self._save_id_checkpoint()
        self._alert_mails.step()
        if time.monotonic() >= self._next_prune_at:
            self._prune()
        if due.results and time.monotonic() >= self._next_result_expiry_at:
            self._expire_results()
        return self._until_next_round(due)

    def _read_due(self) -> DueMaintenance:
        """Ask what there is to do, and compare the clocks by the answer."""
        before = self._read_at = time.monotonic()
        due = read_due_maintenance(
            stale_after=self._settings.worker.stale_after,
            abandoned_after=self._settings.worker.batch_abandoned_after,
            exclude_id=self._context.worker_id,
            using=self._using,
        )
        self._clock_steps.step(ClockReading(before, due.now, time.monotonic()))
        return due

    def _sample_backlog(self, minute: datetime) -> None:
        """Sample the backlog. Without a sample only charts and forecasts lack a minute: an error keeps nothing up."""
        try:
            sample_backlog(minute, using=self._using)
        except Exception as error:
            if isinstance(error, (DatabaseError, OSError)) and not connections[self._using].is_usable():
                raise
            logger.warning("the backlog of %s was not sampled", minute.isoformat(), exc_info=True)

    def _sync_limits(self) -> None:
        """Update the rules of limits whose rows were written by an older version of the code."""
        limits = {
            (limit.name or definition.name, limit.rule().kind): limit
            for definition in registry.all_definitions()
            for limit in definition.options.limits
        }
        named = [(name, limit.rule()) for (name, _), limit in limits.items()]
        by_function = {
            name for (name, _), one in limits.items() if isinstance(one, Ordering) and callable(one.hold_when_dead)
        }
        if changed := sync_limits(named, held_by_function=by_function, using=self._using):
            logger.info("updated the rule of %s", counted(changed, "limit"))
        self._is_synced = True

    def _rescue(self, due: DueMaintenance) -> None:
        stale_after = self._settings.worker.stale_after
        lost = 0
        if due.lost_workers and self._clock_steps.trusts_heartbeats:
            lost = mark_lost_workers(stale_after=stale_after, exclude_id=self._context.worker_id, using=self._using)
        if lost:
            logger.warning("lost after %s without a heartbeat: %s", stale_after, counted(lost, "worker"))
        if not lost and not due.orphaned_jobs:
            return
        if rescued := rescue(rules=self._context.rules, using=self._using):
            logger.warning("rescued %s of lost workers", counted(rescued, "job"))

    def _until_next_round(self, due: DueMaintenance) -> float:
        """Return the seconds until the next silent worker becomes stale, at most the interval.

        So the jobs of a dead host are rescued as soon as WORKER["STALE_AFTER"] allows, not up to an interval later. No
        pause goes beyond the start of a minute: the backlog is sampled then.
        """
        until_sample = until_next_minute(due.now) + self._sample_delay - (time.monotonic() - self._read_at)
        interval = min(
            self._settings.worker.heartbeat_interval.total_seconds(), MAX_INTERVAL_SECONDS, max(until_sample, 0.0)
        )
        until_stale = due.until_stale(self._settings.worker.stale_after)
        if until_stale is None:
            return interval
        return min(interval, max(until_stale.total_seconds(), 0.0) + STALE_MARGIN_SECONDS)

    def _repair(self) -> None:
        """Do the work on batches and graphs that a dead process left undone."""
        settings = self._settings
        self._last_repair = repair(
            self._last_repair, abandoned_after=settings.worker.batch_abandoned_after, using=self._using
        )
        if self._last_repair.followed:
            logger.warning("repaired %s whose dependents were not notified", counted(self._last_repair.followed, "job"))
        for batch_id in self._last_repair.abandoned:
            logger.warning(
                "batch %s was not closed by its builder, which has been inactive for %s; it is closed now",
                batch_id,
                settings.worker.batch_abandoned_after,
            )

    def _expire(self) -> None:
        dropped, more = expire(using=self._using)
        while more:
            number, more = expire(using=self._using)
            dropped += number
        if dropped:
            logger.warning("cancelled %s that expired before the start", counted(dropped, "job"))

    def _register_queues(self) -> None:
        new = self._context.seen_queues - self._known_queues
        ensure_queues(sorted(new), using=self._using)
        self._known_queues |= new

    def _save_id_checkpoint(self) -> None:
        if time.monotonic() >= self._next_checkpoint_at:
            record_id_checkpoint(using=self._using)
            self._next_checkpoint_at = time.monotonic() + INTERVAL.total_seconds() / 2

    def _prune(self) -> None:
        """Prune a few windows; the next round continues where this one stopped."""
        settings = self._settings
        pruned = prune(
            settings.retention.by_state,
            start_id=self._prune_from or 0,
            windows=WINDOWS_PER_ROUND,
            using=self._using,
        )
        if pruned.jobs:
            logger.info("pruned %s", counted(pruned.jobs, "job"))
        self._prune_from = pruned.next_id
        if pruned.next_id is None and not self._prune_records():
            self._next_prune_at = time.monotonic() + PRUNE_INTERVAL_SECONDS

    def _expire_results(self) -> None:
        """Delete expired results; the next round continues if there are more."""
        expired = expire_results(windows=WINDOWS_PER_ROUND, using=self._using)
        if expired.results:
            logger.info("deleted %s", counted(expired.results, "expired result"))
        if not expired.more:
            self._next_result_expiry_at = time.monotonic() + RESULTS_INTERVAL_SECONDS

    def _prune_records(self) -> bool:
        """Prune all else; tell whether a table has more of what is old than one round deletes."""
        settings = self._settings
        prune_records(settings.retention.by_state, alerted_for=settings.alerts.mail_admins_period, using=self._using)
        prune_ticks(settings.retention.ticks, using=self._using)
        deleted = (
            prune_keys(windows=WINDOWS_PER_ROUND, using=self._using),
            prune_once(settings.retention.once, windows=WINDOWS_PER_ROUND, using=self._using),
            prune_inbox(settings.retention.inbox, windows=WINDOWS_PER_ROUND, using=self._using),
        )
        prune_rollups(using=self._using)
        prune_deploys(using=self._using)
        move_old_types(using=self._using)
        prune_groups(settings.retention.dead, using=self._using)
        prune_id_checkpoints(using=self._using)
        prune_limits(using=self._using)
        prune_batches(settings.retention.succeeded, using=self._using)
        return max(deleted) >= WINDOWS_PER_ROUND * WINDOW
