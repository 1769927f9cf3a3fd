"""Periodic duties of the workers: rescue, repair, expire, register queues, roll up, prune, mail the admins.

Every worker does all of them; guarded statements and unique rows make that harmless.
"""

from __future__ import annotations

import logging
import time

from django.core.mail import mail_admins
from django.urls import NoReverseMatch, reverse

from ... import registry
from ...models import DeadLetter
from ...policy.printable import printable, printable_lines
from ...store.batches.batch import prune_batches
from ...store.dead_letters.alerts import take_alerts
from ...store.dead_letters.group_counts import prune_groups
from ...store.enqueue.prune_keys import prune_keys, prune_once
from ...store.lifecycle.expire import expire
from ...store.lifecycle.prune import prune, prune_records, prune_ticks
from ...store.lifecycle.repair import RepairResult, repair
from ...store.lifecycle.rescue import rescue
from ...store.limits.definitions import sync_limits
from ...store.limits.prune import prune_limits
from ...store.queues import ensure_queues
from ...store.results.retention import expire_results
from ...store.search.id_checkpoints import INTERVAL, prune_id_checkpoints, record_id_checkpoint
from ...store.stats.rollup import prune_rollups, roll_up
from ...store.workers import mark_lost_workers, time_until_stale
from ..execution.runtime import WorkerContext
from .clock_steps import ClockSteps
from .consistency import ConsistencyCheck

logger = logging.getLogger("django_jobs.worker")

FRESH_START_SECONDS = 30.0
PRUNE_INTERVAL_SECONDS = 300.0
RESULTS_INTERVAL_SECONDS = 60.0
WINDOWS_PER_ROUND = 5
MAX_INTERVAL_SECONDS = 5.0
STALE_MARGIN_SECONDS = 0.05
"""Delay of the check after the time at which a worker becomes stale."""


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
        self._consistency = ConsistencyCheck(context)
        self._clock_steps = ClockSteps(context)

    def step(self) -> float:
        """Do the due duties and return the seconds until the next round."""
        if not self._is_synced:
            self._sync_limits()
        self._clock_steps.step()
        self._rescue()
        self._repair()
        self._consistency.step()
        self._expire()
        self._register_queues()
        roll_up(using=self._using)
        self._save_id_checkpoint()
        if self._settings.alerts.mail_admins:
            self._mail_admins()
        if time.monotonic() >= self._next_prune_at:
            self._prune()
        if time.monotonic() >= self._next_result_expiry_at:
            self._expire_results()
        return self._until_next_round()

    def _sync_limits(self) -> None:
        """Update the rules of limits whose rows were written by an older version of the code."""
        rules = {
            (limit.name or definition.name, limit.rule().kind): limit.rule()
            for definition in registry.all_definitions()
            for limit in definition.options.limits
        }
        named = [(name, rule) for (name, _), rule in rules.items()]
        if changed := sync_limits(named, using=self._using):
            logger.info("%s limits have a new rule", changed)
        self._is_synced = True

    def _rescue(self) -> None:
        stale_after = self._settings.worker.stale_after
        lost = 0
        if self._clock_steps.trusts_heartbeats:
            lost = mark_lost_workers(stale_after=stale_after, exclude_id=self._context.worker_id, using=self._using)
        if lost:
            logger.warning("%s workers without a heartbeat for %s are lost", lost, stale_after)
        if rescued := rescue(rules=self._context.rules, using=self._using):
            logger.warning("%s jobs of lost workers were rescued", rescued)

    def _until_next_round(self) -> float:
        """Return the seconds until the next silent worker becomes stale, at most the interval.

        So the jobs of a dead host are rescued as soon as WORKER["STALE_AFTER"] allows, not up to an interval later.
        """
        interval = min(self._settings.worker.heartbeat_interval.total_seconds(), MAX_INTERVAL_SECONDS)
        until_stale = time_until_stale(
            stale_after=self._settings.worker.stale_after,
            exclude_id=self._context.worker_id,
            using=self._using,
        )
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
            logger.warning("repaired %s jobs whose dependents were not notified", self._last_repair.followed)
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
            logger.warning("%s jobs expired before they started; they are cancelled", dropped)

    def _register_queues(self) -> None:
        new = self._context.seen_queues - self._known_queues
        ensure_queues(sorted(new), using=self._using)
        self._known_queues |= new

    def _save_id_checkpoint(self) -> None:
        if time.monotonic() >= self._next_checkpoint_at:
            record_id_checkpoint(using=self._using)
            self._next_checkpoint_at = time.monotonic() + INTERVAL.total_seconds() / 2

    def _mail_admins(self) -> None:
        period = self._settings.alerts.mail_admins_period
        for dead_letter, number in take_alerts(period=period, using=self._using):
            try:
                subject = f"{dead_letter.job_name} failed for good: {dead_letter.error_class or dead_letter.reason}"
                mail_admins(printable(subject)[:200], printable_lines(_text(dead_letter, number)))
            except Exception:  # mail may fail in many ways; the dead letter stays open in the admin
                logger.exception("the admins could not be mailed about dead letter %s", dead_letter.pk)

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
            logger.info("pruned %s jobs", pruned.jobs)
        self._prune_from = pruned.next_id
        if pruned.next_id is None:
            self._prune_records()
            self._next_prune_at = time.monotonic() + PRUNE_INTERVAL_SECONDS

    def _expire_results(self) -> None:
        """Delete expired results; the next round continues if there are more."""
        expired = expire_results(windows=WINDOWS_PER_ROUND, using=self._using)
        if expired.results:
            logger.info("deleted %s expired results", expired.results)
        if not expired.more:
            self._next_result_expiry_at = time.monotonic() + RESULTS_INTERVAL_SECONDS

    def _prune_records(self) -> None:
        settings = self._settings
        prune_records(settings.retention.by_state, alerted_for=settings.alerts.mail_admins_period, using=self._using)
        prune_ticks(settings.retention.ticks, using=self._using)
        prune_keys(using=self._using)
        prune_once(settings.retention.once, using=self._using)
        prune_rollups(using=self._using)
        prune_groups(settings.retention.dead, using=self._using)
        prune_id_checkpoints(using=self._using)
        prune_limits(using=self._using)
        prune_batches(settings.retention.succeeded, using=self._using)


def _text(dead_letter: DeadLetter, number: int) -> str:
    died_at = f"{dead_letter.died_at:%Y-%m-%d %H:%M:%S %Z}"
    lines = [
        f"{dead_letter.job_name} (queue {dead_letter.queue_name}) became a dead letter: {dead_letter.reason}.",
        f"Job {dead_letter.job_id}, after {dead_letter.attempt} attempts, at {died_at}.",
        f"Dead letters with this error lately: {number}.",
        _admin_link(dead_letter),
        "",
        f"{dead_letter.error_class}: {dead_letter.error_message}",
        "",
        dead_letter.traceback,
    ]
    return "\n".join(lines)


def _admin_link(dead_letter: DeadLetter) -> str:
    try:
        return "In the admin: " + reverse("admin:django_jobs_deadletter_change", args=[dead_letter.pk])
    except NoReverseMatch:
        return f"manage.py jobs retry {dead_letter.job_id} runs it again."
