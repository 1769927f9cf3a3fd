"""Read the numbers that monitoring asks for every few seconds: bounded statements, whatever the tables' size.

Nine statements at most. Each count stops: 10,000 ready jobs of each queue, above that the sample of the last minute
tells (``backlog.py``); the 10,000 scheduled jobs that are due next; the newest 10,000 open dead letters; the first
1,000 workers. Running jobs are as many as the workers claim.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

from django.db.models import Count

from ...conf import get_settings
from ...conf.database import current_database
from ...models import Job, Queue, Rollup, Worker
from ...policy.claim_cursors import Lane
from ...policy.states import State
from ..dialects import open_dialect
from ..dialects.base.jobs import state_literal
from ..dialects.shared.reads import read_open_dead_letters, read_ready_counts, read_scheduled_counts
from ..each_database import read_each

MAX_COUNTED = 10_000
MAX_WORKERS = 1_000
SAMPLE_AGE = timedelta(minutes=10)
WAIT_SECONDS = 5.0
"""How long all databases together are waited for, if jobs are in several."""


class QueueGauges(NamedTuple):
    """Current numbers of one queue; ``oldest_ready_seconds`` is 0 if nothing is ready."""

    name: str
    ready: int = 0
    running: int = 0
    scheduled: int = 0
    oldest_ready_seconds: float = 0.0
    is_paused: bool = False
    dead_letters: int = 0


NO_GAUGE = QueueGauges("")


class Gauges(NamedTuple):
    """Current numbers of the service. ``busy`` and ``idle``: threads and job processes of the living ``workers``.

    ``queues``: sorted by name. ``queues_left_out``: how many more there are.
    """

    queues: list[QueueGauges]
    queues_left_out: int
    workers: int
    busy: int
    idle: int


def read_gauges(*, names: Collection[str] | None = None, max_queues: int = 100, using: str | None = None) -> Gauges:
    """Read the numbers of the first ``max_queues`` queues, or of those with these names, whether they exist or not."""
    dialect, connection = open_dialect(using)
    alias = connection.alias
    snapshot = dialect.jobs.read_snapshot(connection, None)
    rows = Queue.objects.using(alias).order_by("name").values_list("name", "paused_at")
    paused_at = dict(rows[: max_queues + 1] if names is None else rows.filter(pk__in=names))
    running = _count_running(alias)
    scheduled = read_scheduled_counts(connection, limit=MAX_COUNTED)
    dead_letters = read_open_dead_letters(connection, limit=MAX_COUNTED)
    ready_names = {lane.queue_name for lane in snapshot.lanes}
    known = sorted(paused_at.keys() | ready_names | running.keys() | scheduled.keys() | dead_letters.keys())
    chosen = known[:max_queues] if names is None else sorted(names)
    ready = _read_ready(chosen, snapshot.lanes, snapshot.now, alias)
    workers, busy, idle = _read_workers(snapshot.now, alias)
    return Gauges(
        queues=[
            QueueGauges(
                name=name,
                ready=ready[name][0],
                running=running.get(name, 0),
                scheduled=scheduled.get(name, 0),
                oldest_ready_seconds=ready[name][1],
                is_paused=paused_at.get(name) is not None,
                dead_letters=dead_letters.get(name, 0),
            )
            for name in chosen
        ],
        queues_left_out=max(len(known) - max_queues, 0) if names is None else 0,
        workers=workers,
        busy=busy,
        idle=idle,
    )


def read_gauges_of_each(*, names: Collection[str] | None = None, max_queues: int = 100) -> dict[str, Gauges | None]:
    """Read the numbers of each database, by alias; None for one that fails, or is late, where jobs are in several.

    The only database is read in this thread, and raises its error.
    """
    settings = get_settings()
    read = partial(read_gauges, names=names, max_queues=max_queues)
    if not settings.has_many_databases:
        alias = current_database()
        return {alias: read(using=alias)}
    found = read_each(read, settings.aliases, wait_seconds=WAIT_SECONDS)
    return {alias: found.get(alias) for alias in settings.aliases}


def _count_running(alias: str) -> dict[str, int]:
    running = Job.objects.using(alias).filter(state=state_literal(State.RUNNING)).order_by()
    return dict(running.values_list("queue_name").annotate(number=Count("pk")))


def _read_ready(names: list[str], lanes: list[Lane], now: datetime, alias: str) -> Mapping[str, tuple[int, float]]:
    """Return the number of ready jobs of each queue, and for how many seconds the oldest is ready."""
    _, connection = open_dialect(alias)
    counts = read_ready_counts(connection, queues=names, heads=lanes, limit=MAX_COUNTED + 1)
    samples = _read_samples([name for name, count in counts.items() if count.number > MAX_COUNTED], now, alias)
    return {
        name: (
            max(min(count.number, MAX_COUNTED), samples.get(name, 0)),
            max((now - count.oldest).total_seconds(), 0.0) if count.oldest else 0.0,
        )
        for name, count in counts.items()
    }


def _read_samples(names: list[str], now: datetime, alias: str) -> dict[str, int]:
    """Return the newest sample of each of these queues. No statement without names."""
    if not names:
        return {}
    samples = Rollup.objects.using(alias).filter(
        span_seconds=60, queue_name__in=names, starts_at__gte=now - SAMPLE_AGE, max_waiting__isnull=False
    )
    return {
        name: number or 0 for name, number in samples.order_by("starts_at").values_list("queue_name", "max_waiting")
    }


def _read_workers(now: datetime, alias: str) -> tuple[int, int, int]:
    """Return the number of living workers, and of their threads that are busy and idle by the last reports."""
    alive = Worker.objects.using(alias).filter(
        state__in=Worker.ALIVE_STATES, heartbeat_at__gte=now - get_settings().worker.stale_after
    )
    rows = list(alive.order_by("pk").values_list("state", "concurrency", "activity__threads")[:MAX_WORKERS])
    busy_of = [(state, concurrency, min(int(threads or 0), concurrency)) for state, concurrency, threads in rows]
    idle = sum(concurrency - busy for state, concurrency, busy in busy_of if state == Worker.State.RUNNING)
    return len(rows), sum(busy for _, _, busy in busy_of), idle
