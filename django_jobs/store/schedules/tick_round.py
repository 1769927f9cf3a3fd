"""One round of ticks: decide on locked schedules and save all decisions in a few statements."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import NamedTuple

from ...conf.database import public_id
from ...conf.readers import MAX_ATTEMPTS_BOUND
from ...exceptions import ConfigurationError
from ...models import CronSchedule, Job, Tick
from ...policy.flags import JobFlag
from ...policy.metadata import SCHEDULE_KEY, MetadataSource
from ...policy.overlap import Overlap, OverlapDecision, decide_overlap
from ...policy.plurals import counted
from ...policy.priorities import MAX_PRIORITY, MIN_PRIORITY
from ...policy.schedule import TickOutcome, plan_ticks
from ...policy.states import FINAL_STATES
from ..dialects import open_dialect
from ..dialects.base.jobs import NewJob
from ..dialects.base.schedules import NewTick, ScheduleTimes
from ..enqueue.insert import enqueue_payloads, serialize_arguments
from ..lifecycle.cancel import cancel
from .queued_ticks import QUEUED_TICK_CHECK_INTERVAL, skip_queued_ticks


class TickResult(NamedTuple):
    """Counts of a round's ticks by outcome; ``full``: more may be due."""

    fired: int = 0
    waiting: int = 0
    skipped: int = 0
    missed: int = 0
    problems: tuple[str, ...] = ()
    """Names of schedules that will not be checked any more, with the reason."""
    max_lateness: timedelta = timedelta(0)
    """Longest delay of a fired tick."""
    full: bool = False
    checked: int = 0
    """Number of schedules; 0 if other schedulers have locked all due ones."""


@dataclass(slots=True)
class _Tick:
    """A tick of this round, cheaper than a model instance; ``id`` if it was queued and has a row."""

    schedule_id: int
    due_at: datetime
    outcome: TickOutcome = TickOutcome.WAITING
    reason: str = ""
    job_id: int | None = None
    is_open: bool = False
    requested_by: str = ""
    id: int | None = None


class TickRound:
    """Decides on ``schedules``, locked by the caller's transaction, and saves in that transaction.

    ``metadata_source`` is asked once for each job that is fired.
    """

    def __init__(
        self, schedules: Sequence[CronSchedule], *, now: datetime, metadata_source: MetadataSource, using: str
    ) -> None:
        self.schedules = schedules
        self._now = now
        self._using = using
        self._added_metadata = cache(metadata_source)
        self._payloads: dict[int, str] = {}
        self._decided: list[_Tick] = []
        self._fired: list[tuple[CronSchedule, _Tick]] = []
        self._replaced: list[int] = []
        self._next_checks: list[ScheduleTimes] = []
        self._problems: list[CronSchedule] = []
        self._running: dict[int, list[_Tick]] = defaultdict(list)
        self._waiting: dict[int, list[_Tick]] = defaultdict(list)
        self._read_open_ticks()

    def decide_due(self) -> TickRound:
        """Decide on all due ticks."""
        decided = self._decided_already()
        for schedule in self.schedules:
            try:
                self._payloads[schedule.pk] = _payload(schedule)
                self._decide(schedule, decided)
            except (ValueError, TypeError, ArithmeticError, LookupError) as error:
                schedule.problem = str(error)
                self._problems.append(schedule)
                self._next_checks.append(ScheduleTimes(schedule.pk, None, None))
        return self

    def decide_by_hand(self, schedule: CronSchedule, by: str) -> TickRound:
        """Decide on a tick at the current time, requested by ``by``."""
        self._payloads[schedule.pk] = _payload(schedule)
        self._admit(schedule, _Tick(schedule.pk, self._now, requested_by=by))
        if self._waiting[schedule.pk] and schedule.next_check_at is not None:
            check_at = min(schedule.next_check_at, self._now + QUEUED_TICK_CHECK_INTERVAL)
            self._next_checks.append(ScheduleTimes(schedule.pk, schedule.next_due_at, check_at))
        return self

    def save(self) -> TickResult:
        """Write jobs, ticks and the times of the next checks."""
        dialect, connection = open_dialect(self._using)
        if self._replaced:
            cancel(Job.objects.using(self._using).filter(pk__in=self._replaced), using=self._using)
        self._insert_jobs()
        new = [_as_row(tick, self._now) for tick in self._decided if tick.id is None]
        if new:
            dialect.schedules.insert_ticks(connection, new)
        for tick in self._decided:
            if tick.id is not None:
                Tick.objects.using(self._using).filter(pk=tick.id).update(
                    outcome=tick.outcome, reason=tick.reason, job_id=tick.job_id, decided_at=self._now
                )
        if self._next_checks:
            dialect.schedules.set_times(connection, self._next_checks)
        for schedule in self._problems:
            CronSchedule.objects.using(self._using).filter(pk=schedule.pk).update(problem=schedule.problem)
            skip_queued_ticks(schedule, reason=f"cannot fire: {schedule.problem}", using=self._using)
        return self._count()

    def _decide(self, schedule: CronSchedule, decided: set[tuple[int, datetime]]) -> None:
        timing, tick_policy = schedule.timing, schedule.tick_policy
        tick_policy.check()
        next_due_at = schedule.next_due_at or timing.next(self._now)
        planned = (
            None if next_due_at is None else plan_ticks(timing, tick_policy, next_due_at=next_due_at, now=self._now)
        )
        if planned is None or planned.next_due_at is None:
            raise ValueError(f"cron: expected an expression that fires some day, got {schedule.cron!r}")
        waiting = self._waiting[schedule.pk]
        if waiting and not self._running[schedule.pk]:
            self._fire(schedule, waiting.pop(0))
        for due_at in planned.missed:
            if (schedule.pk, due_at) not in decided:
                reason = f"no scheduler was running; decided at {self._now:%Y-%m-%d %H:%M:%S} UTC"
                self._record(_Tick(schedule.pk, due_at), TickOutcome.MISSED, reason)
        for due_at in planned.fire:
            if (schedule.pk, due_at) not in decided:
                self._admit(schedule, _Tick(schedule.pk, due_at))
        check_at = planned.next_check_at
        if waiting:
            check_at = min(check_at or self._now + QUEUED_TICK_CHECK_INTERVAL, self._now + QUEUED_TICK_CHECK_INTERVAL)
        self._next_checks.append(ScheduleTimes(schedule.pk, planned.next_due_at, check_at))

    def _admit(self, schedule: CronSchedule, tick: _Tick) -> None:
        """Fire, replace, queue or skip a due tick, by the schedule's overlap policy."""
        running, waiting = self._running[schedule.pk], self._waiting[schedule.pk]
        tick_policy = schedule.tick_policy
        decision = decide_overlap(
            tick_policy.overlap, unfinished=len(running), waiting=len(waiting), room=tick_policy.room
        )
        match decision:
            case OverlapDecision.FIRE:
                self._fire(schedule, tick)
            case OverlapDecision.REPLACE:
                self._replaced += [running_tick.job_id for running_tick in running if running_tick.job_id]
                running.clear()
                self._fire(schedule, tick)
            case OverlapDecision.WAIT if not schedule.is_firing:
                why = "and ticks are not queued while the schedule is paused"
                self._record(tick, TickOutcome.SKIPPED, f"{self._reason(running)}, {why}")
            case OverlapDecision.WAIT:
                waiting.append(tick)
                tick.is_open = True
                self._record(tick, TickOutcome.WAITING, self._reason(running))
            case OverlapDecision.SKIP:
                more = f", queued: {counted(len(waiting), 'tick')}" if waiting else ""
                self._record(tick, TickOutcome.SKIPPED, self._reason(running) + more)

    def _fire(self, schedule: CronSchedule, tick: _Tick) -> None:
        tick.is_open = schedule.overlap != Overlap.ALLOW
        self._running[schedule.pk].append(tick)
        self._fired.append((schedule, tick))
        self._record(tick, TickOutcome.FIRED, "")

    def _record(self, tick: _Tick, outcome: TickOutcome, reason: str) -> None:
        tick.outcome, tick.reason = outcome, reason
        self._decided.append(tick)

    def _reason(self, running: Sequence[_Tick]) -> str:
        ids = [str(public_id(tick.job_id, database=self._using)) for tick in running if tick.job_id is not None]
        return f"job {', '.join(ids)} has not ended" if ids else "the job of the previous tick has not ended"

    def _read_open_ticks(self) -> None:
        """Read the queued ticks and the unfinished jobs; close ticks whose job has ended."""
        ticks = Tick.objects.using(self._using)
        of_these = ticks.filter(is_open=True, schedule__in=[schedule.pk for schedule in self.schedules])
        rows = of_these.order_by("due_at", "pk")
        columns = ("schedule_id", "due_at", "outcome", "reason", "job_id", "is_open", "requested_by", "id")
        open_ticks = [_Tick(*row) for row in rows.values_list(*columns)]
        jobs = [tick.job_id for tick in open_ticks if tick.job_id is not None]
        unfinished = set(
            Job.objects.using(self._using)
            .filter(pk__in=jobs)
            .exclude(state__in=FINAL_STATES)
            .values_list("pk", flat=True)
        )
        ended = []
        for tick in open_ticks:
            if tick.outcome == TickOutcome.WAITING:
                self._waiting[tick.schedule_id].append(tick)
            elif tick.job_id in unfinished:
                self._running[tick.schedule_id].append(tick)
            else:
                ended.append(tick.id or 0)
        if ended:
            ticks.filter(pk__in=ended).update(is_open=False)

    def _decided_already(self) -> set[tuple[int, datetime]]:
        """Return due ticks that already have a row: the schedule was restored or its clock set back."""
        due = [schedule.next_due_at for schedule in self.schedules if schedule.next_due_at is not None]
        if not due:
            return set()
        ticks = Tick.objects.using(self._using).filter(
            schedule__in=[schedule.pk for schedule in self.schedules],
            due_at__gte=min(due),
            due_at__lte=self._now,
        )
        return set(ticks.values_list("schedule_id", "due_at"))

    def _insert_jobs(self) -> None:
        """Insert the fired jobs, those with equal options in one statement, and set the ticks' job ids."""
        groups: dict[NewJob, list[tuple[CronSchedule, _Tick]]] = defaultdict(list)
        for schedule, tick in self._fired:
            groups[_new_job(schedule, tick.due_at)].append((schedule, tick))
        for new, members in groups.items():
            payloads = [self._payloads[schedule.pk] for schedule, _ in members]
            metadata = [self._metadata_of(schedule, tick) for schedule, tick in members]
            ids = enqueue_payloads(new, payloads, metadata=metadata, using=self._using)
            for (_, tick), job_id in zip(members, ids, strict=True):
                tick.job_id = job_id

    def _metadata_of(self, schedule: CronSchedule, tick: _Tick) -> str:
        added = self._added_metadata(schedule.job_name)
        own = {SCHEDULE_KEY: schedule.name, "due_at": tick.due_at.isoformat()}
        return json.dumps({**added, **own}, ensure_ascii=False)

    def _count(self) -> TickResult:
        number = dict.fromkeys(TickOutcome, 0)
        for tick in self._decided:
            number[tick.outcome] += 1
        return TickResult(
            fired=number[TickOutcome.FIRED],
            waiting=number[TickOutcome.WAITING],
            skipped=number[TickOutcome.SKIPPED],
            missed=number[TickOutcome.MISSED],
            problems=tuple(f"{schedule.name}: {schedule.problem}" for schedule in self._problems),
            max_lateness=max((self._now - tick.due_at for _, tick in self._fired), default=timedelta(0)),
            checked=len(self.schedules),
        )


def _payload(schedule: CronSchedule) -> str:
    """Return the arguments as JSON. Raises for a manually edited row whose insert would fail the round."""
    if not isinstance(schedule.arguments, dict):
        raise ConfigurationError(f"arguments: expected a JSON object, got {type(schedule.arguments).__name__}")
    if not MIN_PRIORITY <= schedule.priority <= MAX_PRIORITY:
        raise ConfigurationError(f"priority: expected {MIN_PRIORITY} to {MAX_PRIORITY}, got {schedule.priority}")
    if not 1 <= schedule.max_attempts <= MAX_ATTEMPTS_BOUND:
        raise ConfigurationError(f"max_attempts: expected 1 to {MAX_ATTEMPTS_BOUND}, got {schedule.max_attempts}")
    return serialize_arguments(schedule.job_name, schedule.arguments)


def _as_row(tick: _Tick, now: datetime) -> NewTick:
    return NewTick(
        tick.schedule_id,
        tick.due_at,
        now,
        tick.outcome.value,
        tick.reason,
        tick.job_id,
        tick.is_open,
        tick.requested_by,
    )


def _new_job(schedule: CronSchedule, due_at: datetime) -> NewJob:
    """Return the job of a tick; its expiry counts from the due time plus the jitter."""
    expires = schedule.expires
    return NewJob(
        name=schedule.job_name,
        queue_name=schedule.queue_name,
        priority=schedule.priority,
        max_attempts=schedule.max_attempts,
        metadata="{}",
        flags=int(JobFlag.NONE if expires is None else JobFlag.EXPIRES),
        expires_at=None if expires is None else due_at + schedule.jitter + expires,
    )
