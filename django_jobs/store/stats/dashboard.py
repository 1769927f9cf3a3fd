"""Read all numbers of the dashboard, in at most 20 statements and bounded time, whatever the tables' size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import QuerySet

from ...models import CronSchedule, Queue, Rollup, Worker
from ...policy.backlog import Level, count_arrivals
from ...policy.claim_cursors import Lane
from ...policy.durations import Duration, read_duration
from ...policy.forecast import Forecast, QueueLoad, forecast_queue
from ...policy.histogram import percentile
from ...policy.rollup import ALL_QUEUES, span_start
from ...policy.service_facts import BrokerFacts, Some
from ..dead_letters.groups import GroupSummary, groups_page
from ..deploys import DeployedRelease
from ..dialects import open_dialect
from ..dialects.shared.reads import ReadyCount, read_ready_counts
from ..dialects.shared.service_figures import Figure, read_service_figures
from ..messages.status import read_broker_facts
from .live_workers import MAX_WORKERS, WorkerStatus, claimed_jobs, live_workers
from .queue_loads import RATE_MINUTES, Slots, count_slots, is_stopped, read_recent_minutes, read_slots
from .since_deploy import COMPARED_COLUMNS, TYPES, DeployToCompare, SinceDeploy, compare, deploy_to_compare, with_types

PERIODS = {timedelta(hours=1): 60, timedelta(hours=24): 600, timedelta(days=7): 3600}
"""Periods of the dashboard, with the seconds of a span in each."""

MAX_COUNTED = 10_000
MAX_QUEUES = 100
MAX_TICKS = 10
MAX_GROUPS = 10
MAX_DEPLOYS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundedCount:
    """A count up to a limit. ``is_more``: there are more than ``number``."""

    number: int
    is_more: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Durations:
    """Percentiles, in seconds, of the wait or run times of ``number`` attempts."""

    number: int = 0
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Attempts that ended in one span of time, with their wait and run times, and the backlog in it.

    ``arrived``: jobs that became ready, None if that is not known, as before the span is over. ``waiting``: the most
    ready jobs of its samples, None if there are none.
    """

    starts_at: datetime
    succeeded: int = 0
    retried: int = 0
    dead: int = 0
    arrived: int | None = None
    waiting: int | None = None
    wait: Durations = Durations()
    run: Durations = Durations()


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStatus:
    """Current status of a queue. ``per_minute``: attempts that ended per minute, over the last ten full minutes.

    ``is_suspended``: its broker is down, and no more than one job is claimed, as a test.
    ``oldest_seconds`` of a paused queue with more than 10,000 waiting jobs is that of the oldest job read.
    """

    name: str
    waiting: BoundedCount
    oldest_seconds: float | None
    running: int
    per_minute: float
    paused_at: datetime | None
    paused_by: str
    is_suspended: bool
    forecast: Forecast


@dataclass(frozen=True, slots=True, kw_only=True)
class NextTick:
    """The next tick of a schedule, and when a scheduler checks it: later, if the tick before has not ended."""

    schedule_id: int
    schedule_name: str
    job_name: str
    due_at: datetime
    check_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DashboardSnapshot:
    """The dashboard at one moment.

    ``series`` has the attempts that ended before ``rolled_up_until``, None before the first rollup.
    ``are_queues_truncated`` and ``are_workers_truncated``: there are more than the list has. ``in_hand``: jobs that a
    worker has claimed and, by its last report, not begun. ``retries`` and ``scheduled`` count among the 10,000
    scheduled jobs that are due next. ``died_recently`` counts open dead letters of the last hour, up to 1,000,
    ``open_breakers`` circuit breakers at which jobs wait. ``clock_skew_seconds``: this host's clock minus the
    database's.
    """

    now: datetime
    period: timedelta
    span_seconds: int
    series: list[Point]
    totals: Point
    wait: Durations
    run: Durations
    rolled_up_until: datetime | None
    queues: list[QueueStatus]
    are_queues_truncated: bool
    workers: list[WorkerStatus]
    are_workers_truncated: bool
    running: int
    in_hand: int
    scheduled: BoundedCount
    retries: BoundedCount
    next_retry_at: datetime | None
    ticks: list[NextTick]
    open_dead_letters: BoundedCount
    groups: list[GroupSummary]
    died_recently: int
    unknown_jobs: Some
    broken_schedules: Some
    open_breakers: Some
    clock_skew_seconds: float
    deploys: list[DeployedRelease]
    since_deploy: SinceDeploy | None
    brokers: BrokerFacts


def dashboard_snapshot(*, period: Duration = timedelta(hours=1), using: str | None = None) -> DashboardSnapshot:
    """Read everything that the dashboard shows. Raises ValueError if the period is not one of ``PERIODS``."""
    period = read_duration("period", period)
    if period not in PERIODS:
        raise ValueError(f"expected one of {', '.join(map(str, PERIODS))} as the period, got {period}")
    dialect, connection = open_dialect(using)
    alias = connection.alias
    asked_at = datetime.now(UTC)
    snapshot = dialect.jobs.read_snapshot(connection, None)
    clock_skew_seconds = _skew(asked_at, snapshot.now, datetime.now(UTC))
    figures, deploys = read_service_figures(connection, now=snapshot.now, limit=MAX_COUNTED + 1, deploys=MAX_DEPLOYS)
    rolled_up = (figures["rolled_up"].at or snapshot.now) if figures["rolled_up"].number else None
    claimed, number_by_queue = claimed_jobs(using=alias)
    workers = live_workers(snapshot.now, claimed, using=alias)
    released = [DeployedRelease(**deploy._asdict()) for deploy in deploys]
    running = {worker.release for worker in workers if not worker.is_stale}
    compared = deploy_to_compare(released, running=running, now=snapshot.now, using=alias)
    rows, type_sums = _sums(snapshot.now, period, compared, alias)
    series = _series(rows, snapshot.now, period, rolled_up)
    groups = groups_page(now=snapshot.now, using=alias).rows
    queues = _queues(snapshot.now, snapshot.lanes, number_by_queue, _slots(workers), alias)
    in_hand = sum(worker.load.in_hand for worker in workers)
    return DashboardSnapshot(
        now=snapshot.now,
        period=period,
        span_seconds=PERIODS[period],
        series=series,
        totals=Point(
            starts_at=series[0].starts_at,
            succeeded=sum(point.succeeded for point in series),
            retried=sum(point.retried for point in series),
            dead=sum(point.dead for point in series),
        ),
        wait=_durations(row.waits for row in rows),
        run=_durations(row.runs for row in rows),
        rolled_up_until=rolled_up,
        queues=queues[:MAX_QUEUES],
        are_queues_truncated=len(queues) > MAX_QUEUES,
        workers=workers[:MAX_WORKERS],
        are_workers_truncated=len(workers) > MAX_WORKERS,
        running=max(number_by_queue.total() - in_hand, 0),
        in_hand=in_hand,
        **_scheduled(figures["retries"]),
        ticks=_ticks(alias),
        brokers=read_broker_facts(using=alias),
        open_dead_letters=_open_dead_letters(figures),
        groups=groups[:MAX_GROUPS],
        died_recently=figures["died"].other,
        unknown_jobs=Some(number=figures["unknown"].number, example=figures["unknown"].name),
        broken_schedules=_some(figures["broken"]),
        open_breakers=_some(figures["breakers"]),
        clock_skew_seconds=clock_skew_seconds,
        deploys=released,
        since_deploy=None if compared is None else compare(compared, type_sums, groups, using=alias),
    )


def queue_statuses(*, using: str | None = None) -> list[QueueStatus]:
    """Return the current status of the first 100 queues, sorted by name; six statements however many."""
    dialect, connection = open_dialect(using)
    snapshot = dialect.jobs.read_snapshot(connection, None)
    _, number_by_queue = claimed_jobs(using=connection.alias)
    slots = read_slots(using=connection.alias)
    return _queues(snapshot.now, snapshot.lanes, number_by_queue, slots, connection.alias)[:MAX_QUEUES]


def _skew(before: datetime, database: datetime, after: datetime) -> float:
    """Return by how many seconds this host's clock is ahead, negative if behind, at least.

    The database read its clock at some moment between ``before`` and ``after``.
    """
    if database < before:
        return (before - database).total_seconds()
    return min((after - database).total_seconds(), 0.0)


def _some(figure: Figure) -> Some:
    return Some(number=figure.number, example_id=figure.other or None, example=figure.name)


def _sums(
    now: datetime, period: timedelta, compared: DeployToCompare | None, alias: str
) -> tuple[list[Rollup], list[Sequence[Any]]]:
    """Return the sums of each span, and the rows of job types around the deploy to compare. One statement."""
    sums = Rollup.objects.using(alias).filter(
        span_seconds=PERIODS[period],
        starts_at__gte=_first_start(now, period),
        starts_at__lte=now,
        queue_name=ALL_QUEUES,
    )
    rows: QuerySet[Any, Any] = sums.values_list(*COMPARED_COLUMNS)
    found = list(rows if compared is None else with_types(rows, compared, using=alias))
    return (
        [Rollup(**dict(zip(COMPARED_COLUMNS, row, strict=True))) for row in found if row[0] != TYPES],
        [row for row in found if row[0] == TYPES],
    )


def _first_start(now: datetime, period: timedelta) -> datetime:
    """Return the start of the first span; the last, current one is part of the period."""
    seconds = PERIODS[period]
    return span_start(now.timestamp(), seconds) - period + timedelta(seconds=seconds)


def _series(rows: Iterable[Rollup], now: datetime, period: timedelta, rolled_up: datetime | None) -> list[Point]:
    by_start = {row.starts_at: row for row in rows}
    first, span = _first_start(now, period), timedelta(seconds=PERIODS[period])
    starts = [first + index * span for index in range(period // span)]
    return [
        _point(
            start,
            by_start.get(start),
            by_start.get(start + span),
            is_whole=bool(rolled_up and start + span <= rolled_up),
        )
        for start in starts
    ]


def _point(start: datetime, row: Rollup | None, following: Rollup | None, *, is_whole: bool) -> Point:
    """Return a span; ``is_whole``: it is over, and all that ended in it is rolled up."""
    ended = row.succeeded + row.retried + row.dead if row else 0
    point = Point(
        starts_at=start, arrived=count_arrivals(_level(row), _level(following), ended=ended) if is_whole else None
    )
    if row is None:
        return point
    return replace(
        point,
        succeeded=row.succeeded,
        retried=row.retried,
        dead=row.dead,
        waiting=row.max_waiting,
        wait=_durations([row.waits]),
        run=_durations([row.runs]),
    )


def _level(row: Rollup | None) -> Level | None:
    """Return the level at a span's start; None if it was not sampled, or not all was counted."""
    if row is None or row.waiting is None:
        return None
    return Level(waiting=row.waiting, running=row.running or 0)


def _durations(histograms: Iterable[Mapping[str, int]]) -> Durations:
    counts: Counter[int] = Counter()
    for histogram in histograms:
        counts.update({int(bucket): number for bucket, number in histogram.items()})
    return Durations(
        number=counts.total(),
        p50=percentile(counts, 0.5),
        p95=percentile(counts, 0.95),
        p99=percentile(counts, 0.99),
    )


def _slots(workers: Iterable[WorkerStatus]) -> Slots:
    slots: Counter[frozenset[str]] = Counter()
    for worker in workers:
        if worker.state == Worker.State.RUNNING and not worker.is_stale:
            slots[frozenset(worker.queues)] += worker.concurrency
    return slots


def _queues(now: datetime, lanes: list[Lane], running: Counter[str], slots: Slots, alias: str) -> list[QueueStatus]:
    _, connection = open_dialect(alias)
    minutes = read_recent_minutes(now, using=alias)
    rates = minutes.rates()
    rows = {queue.name: queue for queue in Queue.objects.using(alias).order_by("name")[: MAX_QUEUES + 1]}
    names = sorted(set(rows) | {lane.queue_name for lane in lanes} | set(running) | set(rates))
    names = names[: MAX_QUEUES + 1]
    waiting = read_ready_counts(connection, queues=names[:MAX_QUEUES], heads=lanes, limit=MAX_COUNTED + 1)
    statuses = []
    for name in names:
        count, row = waiting.get(name, ReadyCount(0, None)), rows.get(name)
        bounded = _bounded(count.number)
        load = QueueLoad(
            waiting=bounded.number,
            is_more=bounded.is_more,
            slots=count_slots(name, slots),
            minutes=minutes.of(name),
            is_stopped=is_stopped(row),
        )
        statuses.append(
            QueueStatus(
                name=name,
                waiting=bounded,
                oldest_seconds=max((now - count.oldest).total_seconds(), 0) if count.oldest else None,
                running=running[name],
                per_minute=rates.get(name, 0) / RATE_MINUTES,
                paused_at=row.paused_at if row else None,
                paused_by=row.paused_by if row else "",
                is_suspended=row is not None and row.suspended_until is not None,
                forecast=forecast_queue(load, now=now),
            )
        )
    return statuses


def _scheduled(figure: Figure) -> dict[str, Any]:
    scheduled = _bounded(figure.number)
    return {
        "scheduled": scheduled,
        "retries": BoundedCount(number=min(figure.other, MAX_COUNTED), is_more=scheduled.is_more),
        "next_retry_at": figure.at,
    }


def _ticks(alias: str) -> list[NextTick]:
    rows = CronSchedule.objects.using(alias).filter(next_check_at__isnull=False, next_due_at__isnull=False)
    ticks = [
        NextTick(
            schedule_id=row.pk,
            schedule_name=row.name,
            job_name=row.job_name,
            due_at=row.next_due_at,
            check_at=row.next_check_at,
        )
        for row in rows.order_by("next_check_at", "pk")[:MAX_TICKS]
        if row.next_due_at is not None and row.next_check_at is not None
    ]
    return sorted(ticks, key=lambda tick: (tick.due_at, tick.schedule_id))


def _open_dead_letters(figures: Mapping[str, Figure]) -> BoundedCount:
    """Return the number of open dead letters: above the limit by the groups' counts, exactly, if there are any yet."""
    exact = figures.get("in_groups")
    return _bounded(figures["open"].number) if exact is None else BoundedCount(number=exact.number)


def _bounded(number: int) -> BoundedCount:
    return BoundedCount(number=min(number, MAX_COUNTED), is_more=number > MAX_COUNTED)
