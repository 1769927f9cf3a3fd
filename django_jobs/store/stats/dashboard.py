"""Read all numbers of the dashboard, in at most 20 statements and bounded time, whatever the tables' size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Min, OuterRef, Q, Subquery, Sum

from ...conf import get_settings
from ...models import Attempt, CronSchedule, DeadLetter, Job, Queue, Rollup, RollupPosition, Worker
from ...policy.claim_cursors import Lane
from ...policy.histogram import percentile
from ...policy.rollup import ALL_QUEUES, span_start
from ...policy.states import State
from ..dead_letters.groups import GroupSummary, groups_page
from ..dialects import open_dialect
from ..dialects.base.jobs import state_literal
from ..dialects.shared.reads import ReadyCount, read_ready_counts

PERIODS = {timedelta(hours=1): 60, timedelta(hours=24): 600, timedelta(days=7): 3600}
"""Periods of the dashboard, with the seconds of a span in each."""

MAX_COUNTED = 10_000
MAX_QUEUES = 100
MAX_WORKERS = 100
MAX_RUNNING = 1_000
MAX_TICKS = 10
MAX_GROUPS = 10
RATE_MINUTES = 10


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
    """Attempts that ended in one span of time, with their wait and run times."""

    starts_at: datetime
    succeeded: int = 0
    retried: int = 0
    dead: int = 0
    wait: Durations = Durations()
    run: Durations = Durations()


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStatus:
    """Current status of a queue. ``per_minute``: attempts that ended per minute, over the last ten full minutes.

    ``oldest_seconds`` of a paused queue with more than 10,000 waiting jobs is that of the oldest job read.
    """

    name: str
    waiting: BoundedCount
    oldest_seconds: float | None
    running: int
    per_minute: float
    paused_at: datetime | None
    paused_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningJob:
    """A job that a worker runs now."""

    job_id: int
    name: str
    queue_name: str
    since: datetime | None
    progress_done: int | None
    progress_total: int | None
    progress_message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStatus:
    """A worker that is not known to have ended; ``is_stale``: its heartbeat has stopped."""

    worker_id: int
    hostname: str
    pid: int
    state: str
    is_stale: bool
    queues: list[str]
    concurrency: int
    version: str
    memory_bytes: int | None
    started_at: datetime
    heartbeat_at: datetime
    stop_requested_at: datetime | None
    running: list[RunningJob]


@dataclass(frozen=True, slots=True, kw_only=True)
class NextTick:
    """The next tick of a schedule."""

    schedule_id: int
    schedule_name: str
    job_name: str
    due_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DashboardSnapshot:
    """The dashboard at one moment.

    ``series`` has the attempts that ended before ``rolled_up_until``, None before the first rollup.
    ``are_queues_truncated`` and ``are_workers_truncated``: there are more than the list has; with
    ``is_running_truncated`` jobs are missing from the workers' lists. ``retries`` and ``scheduled`` count among the
    10,000 scheduled jobs that are due next.
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
    is_running_truncated: bool
    scheduled: BoundedCount
    retries: BoundedCount
    next_retry_at: datetime | None
    ticks: list[NextTick]
    open_dead_letters: BoundedCount
    groups: list[GroupSummary]


def dashboard_snapshot(*, period: timedelta = timedelta(hours=1), using: str | None = None) -> DashboardSnapshot:
    """Read everything that the dashboard shows. Raises ValueError if the period is not one of ``PERIODS``."""
    if period not in PERIODS:
        raise ValueError(f"expected one of {', '.join(map(str, PERIODS))} as the period, got {period}")
    dialect, connection = open_dialect(using)
    alias = connection.alias
    snapshot = dialect.jobs.read_snapshot(connection, None)
    rows = _sums(snapshot.now, period, alias)
    series = _series(rows, snapshot.now, period)
    running, number_by_queue = _running(alias)
    queues = _queues(snapshot.now, snapshot.lanes, number_by_queue, alias)
    workers = _workers(snapshot.now, running, alias)
    listed = sum(len(worker.running) for worker in workers[:MAX_WORKERS])
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
        rolled_up_until=rolled_up_until(using=alias),
        queues=queues[:MAX_QUEUES],
        are_queues_truncated=len(queues) > MAX_QUEUES,
        workers=workers[:MAX_WORKERS],
        are_workers_truncated=len(workers) > MAX_WORKERS,
        running=number_by_queue.total(),
        is_running_truncated=listed < number_by_queue.total(),
        **_scheduled(alias),
        ticks=_ticks(alias),
        open_dead_letters=_open_dead_letters(alias),
        groups=groups_page(limit=MAX_GROUPS, now=snapshot.now, using=alias).rows,
    )


def queue_statuses(*, using: str | None = None) -> list[QueueStatus]:
    """Return the current status of the first 100 queues, sorted by name; five statements however many."""
    dialect, connection = open_dialect(using)
    snapshot = dialect.jobs.read_snapshot(connection, None)
    _, number_by_queue = _running(connection.alias)
    return _queues(snapshot.now, snapshot.lanes, number_by_queue, connection.alias)[:MAX_QUEUES]


def rolled_up_until(*, using: str | None = None) -> datetime | None:
    """Return the time up to which ended attempts are rolled up, None before the first rollup."""
    _, connection = open_dialect(using)
    newest_counted = Attempt.objects.using(connection.alias).filter(pk__lte=OuterRef("done_id")).order_by("-pk")
    positions = RollupPosition.objects.using(connection.alias).filter(pk=RollupPosition.Source.ATTEMPTS)
    position = positions.annotate(ended_at=Subquery(newest_counted.values("finished_at")[:1])).first()
    if position is None:
        return None
    return position.seen_at if position.done_id >= position.seen_id else position.ended_at


def _sums(now: datetime, period: timedelta, alias: str) -> list[Rollup]:
    seconds = PERIODS[period]
    return list(
        Rollup.objects.using(alias).filter(
            span_seconds=seconds,
            starts_at__gte=_first_start(now, period),
            starts_at__lte=now,
            queue_name=ALL_QUEUES,
        )
    )


def _first_start(now: datetime, period: timedelta) -> datetime:
    """Return the start of the first span; the last, current one is part of the period."""
    seconds = PERIODS[period]
    return span_start(now.timestamp(), seconds) - period + timedelta(seconds=seconds)


def _series(rows: Iterable[Rollup], now: datetime, period: timedelta) -> list[Point]:
    by_start = {row.starts_at: row for row in rows}
    first, span = _first_start(now, period), timedelta(seconds=PERIODS[period])
    starts = [first + index * span for index in range(period // span)]
    return [_point(row) if (row := by_start.get(start)) else Point(starts_at=start) for start in starts]


def _point(row: Rollup) -> Point:
    return Point(
        starts_at=row.starts_at,
        succeeded=row.succeeded,
        retried=row.retried,
        dead=row.dead,
        wait=_durations([row.waits]),
        run=_durations([row.runs]),
    )


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


def _running(alias: str) -> tuple[list[Job], Counter[str]]:
    """Return running jobs, oldest first and up to a limit, and the number of running jobs in each queue."""
    jobs = Job.objects.using(alias).filter(state=state_literal(State.RUNNING))
    rows = list(
        jobs.order_by("pk").only(
            "name",
            "queue_name",
            "worker_id",
            "started_at",
            "progress_done",
            "progress_total",
            "progress_message",
        )[: MAX_RUNNING + 1]
    )
    if len(rows) <= MAX_RUNNING:
        return rows, Counter(job.queue_name for job in rows)
    numbers = jobs.order_by().values_list("queue_name").annotate(number=Count("pk"))
    return rows[:MAX_RUNNING], Counter(dict(numbers))


def _queues(now: datetime, lanes: list[Lane], running: Counter[str], alias: str) -> list[QueueStatus]:
    _, connection = open_dialect(alias)
    rates = _rates(now, alias)
    rows = {queue.name: queue for queue in Queue.objects.using(alias).order_by("name")[: MAX_QUEUES + 1]}
    names = sorted(set(rows) | {lane.queue_name for lane in lanes} | set(running) | set(rates))
    names = names[: MAX_QUEUES + 1]
    waiting = read_ready_counts(connection, queues=names[:MAX_QUEUES], heads=lanes, limit=MAX_COUNTED + 1)
    nothing = ReadyCount(0, None)
    return [
        _queue(name, rows.get(name), waiting.get(name, nothing), now, running[name], rates.get(name, 0))
        for name in names
    ]


def _queue(name: str, row: Queue | None, waiting: ReadyCount, now: datetime, running: int, ended: int) -> QueueStatus:
    return QueueStatus(
        name=name,
        waiting=_bounded(waiting.number),
        oldest_seconds=max((now - waiting.oldest).total_seconds(), 0) if waiting.oldest else None,
        running=running,
        per_minute=ended / RATE_MINUTES,
        paused_at=row.paused_at if row else None,
        paused_by=row.paused_by if row else "",
    )


def _rates(now: datetime, alias: str) -> dict[str, int]:
    """Return the number of attempts that ended in each queue in the last ten full minutes."""
    this_minute = span_start(now.timestamp(), 60)
    rows = Rollup.objects.using(alias).filter(
        span_seconds=60,
        starts_at__gte=this_minute - timedelta(minutes=RATE_MINUTES),
        starts_at__lt=this_minute,
    )
    sums = rows.order_by().values_list("queue_name").annotate(Sum("succeeded"), Sum("retried"), Sum("dead"))
    return {name: sum(numbers) for name, *numbers in sums if name not in {ALL_QUEUES, ""}}


def _workers(now: datetime, running: Iterable[Job], alias: str) -> list[WorkerStatus]:
    """Return the workers that are not known to have ended, up to one more than the limit."""
    stale_before = now - get_settings().worker.stale_after
    jobs: dict[int | None, list[RunningJob]] = {}
    for job in running:
        jobs.setdefault(job.worker_id, []).append(
            RunningJob(
                job_id=job.pk,
                name=job.name,
                queue_name=job.queue_name,
                since=job.started_at,
                progress_done=job.progress_done,
                progress_total=job.progress_total,
                progress_message=job.progress_message,
            )
        )
    rows = Worker.objects.using(alias).filter(state__in=Worker.ALIVE_STATES).order_by("pk")[: MAX_WORKERS + 1]
    return [
        WorkerStatus(
            worker_id=row.pk,
            hostname=row.hostname,
            pid=row.pid,
            state=row.state,
            is_stale=row.heartbeat_at < stale_before,
            queues=row.queues,
            concurrency=row.concurrency,
            version=row.version,
            memory_bytes=row.memory_bytes,
            started_at=row.started_at,
            heartbeat_at=row.heartbeat_at,
            stop_requested_at=row.stop_requested_at,
            running=jobs.get(row.pk, []),
        )
        for row in rows
    ]


def _scheduled(alias: str) -> dict[str, Any]:
    is_retry = Q(attempt__gt=0)
    first = (
        Job.objects.using(alias)
        .filter(state=state_literal(State.SCHEDULED), run_after__isnull=False)  # MariaDB's index holds all jobs
        .order_by("run_after", "pk")
        .values("pk", "run_after", "attempt")[: MAX_COUNTED + 1]
    )
    found = first.aggregate(
        number=Count("pk"),
        retries=Count("pk", filter=is_retry),
        next_retry_at=Min("run_after", filter=is_retry),
    )
    scheduled = _bounded(found["number"])
    return {
        "scheduled": scheduled,
        "retries": BoundedCount(number=min(found["retries"], MAX_COUNTED), is_more=scheduled.is_more),
        "next_retry_at": found["next_retry_at"],
    }


def _ticks(alias: str) -> list[NextTick]:
    rows = CronSchedule.objects.using(alias).filter(next_check_at__isnull=False, next_due_at__isnull=False)
    ticks = [
        NextTick(schedule_id=row.pk, schedule_name=row.name, job_name=row.job_name, due_at=row.next_due_at)
        for row in rows.order_by("next_check_at", "pk")[:MAX_TICKS]
        if row.next_due_at is not None
    ]
    return sorted(ticks, key=lambda tick: (tick.due_at, tick.schedule_id))


def _open_dead_letters(alias: str) -> BoundedCount:
    dead_letters = DeadLetter.objects.using(alias).filter(status=DeadLetter.Status.OPEN).order_by("pk")
    return _bounded(dead_letters.values("pk")[: MAX_COUNTED + 1].aggregate(number=Count("pk"))["number"])


def _bounded(number: int) -> BoundedCount:
    return BoundedCount(number=min(number, MAX_COUNTED), is_more=number > MAX_COUNTED)
