"""Read the load of some queues: what waits, who serves them, what they did in the last minutes and the last hour."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta

from ...conf import get_settings
from ...models import Queue, Rollup, Worker
from ...policy.forecast import HISTORY_MINUTES, QueueLoad, QueueMinute
from ...policy.histogram import seconds_of
from ...policy.rollup import ALL_QUEUES, span_start
from ..clock import DatabaseNow, database_now
from ..dialects import open_dialect
from ..dialects.shared.reads import ReadyCount, read_ready_counts

PERIOD = timedelta(hours=1)
SPAN_SECONDS = 600
MAX_COUNTED = 10_000
RATE_MINUTES = 10
Slots = Mapping[frozenset[str], int]
"""The number of threads of the living workers by the queues that they serve; the empty set stands for all queues."""


class RecentMinutes:
    """The last minutes of queues: their samples, and what ended in them."""

    def __init__(self, rows: Iterable[tuple[str, datetime, int, int | None, int | None]], now: datetime) -> None:
        self._rows = {
            (name, starts_at): (ended, waiting, at_least) for name, starts_at, ended, waiting, at_least in rows
        }
        self._sampled = sorted(
            at for (name, at), row in self._rows.items() if name == ALL_QUEUES and row[2] is not None
        )
        self._this_minute = span_start(now.timestamp(), 60)

    def of(self, name: str) -> tuple[QueueMinute, ...]:
        """Return the sampled minutes of a queue, the oldest first. A queue without a row did nothing."""
        found = []
        for at in self._sampled:
            ended, waiting, at_least = self._rows.get((name, at), (0, 0, 0))
            is_more = waiting is None and at_least is not None
            found.append(QueueMinute(starts_at=at, waiting=at_least or 0, ended=ended, is_more=is_more))
        return tuple(found)

    def rates(self) -> dict[str, int]:
        """Return by queue the number of attempts that ended in the last ten full minutes."""
        numbers: Counter[str] = Counter()
        first = self._this_minute - timedelta(minutes=RATE_MINUTES)
        for (name, at), (ended, _, _) in self._rows.items():
            if first <= at < self._this_minute and ended:
                numbers[name] += ended
        return {name: number for name, number in numbers.items() if name not in {ALL_QUEUES, ""}}


def read_recent_minutes(now: datetime, *, names: Collection[str] | None = None, using: str) -> RecentMinutes:
    """Read the last minutes of these queues, None for all. One statement."""
    first = span_start(now.timestamp(), 60) - timedelta(minutes=HISTORY_MINUTES)
    rows = Rollup.objects.using(using).filter(span_seconds=60, starts_at__gte=first, starts_at__lte=now)
    if names is not None:
        rows = rows.filter(queue_name__in={*names, ALL_QUEUES})
    columns = ("queue_name", "starts_at", "succeeded", "retried", "dead", "waiting", "max_waiting")
    return RecentMinutes(
        [
            (name, starts_at, succeeded + retried + dead, waiting, at_least)
            for name, starts_at, succeeded, retried, dead, waiting, at_least in rows.values_list(*columns)
        ],
        now,
    )


def read_slots(*, using: str) -> Slots:
    """Return the threads of the living workers by the queues that they serve. One statement."""
    stale_after = get_settings().worker.stale_after
    alive = Worker.objects.using(using).filter(
        state=Worker.State.RUNNING, concurrency__gt=0, heartbeat_at__gte=DatabaseNow(-stale_after)
    )
    slots: Counter[frozenset[str]] = Counter()
    for queues, concurrency in alive.values_list("queues", "concurrency"):
        slots[frozenset(queues)] += concurrency
    return slots


def count_slots(name: str, slots: Slots) -> int:
    """Return how many threads serve a queue."""
    return sum(number for queues, number in slots.items() if not queues or name in queues)


def is_stopped(row: Queue | None) -> bool:
    """Tell whether none of the queue's jobs is claimed: it is paused, suspended, or none may run."""
    if row is None:
        return False
    return row.paused_at is not None or row.suspended_until is not None or row.max_running == 0


def read_queue_loads(
    names: Collection[str], *, now: datetime | None = None, using: str | None = None
) -> dict[str, QueueLoad]:
    """Return the load of each of these queues. Five statements, six without ``now``; counts stop at 10,000."""
    _, connection = open_dialect(using)
    alias = connection.alias
    waiting = read_ready_counts(connection, queues=sorted(names), heads=[], limit=MAX_COUNTED + 1)
    stopped = {row.name for row in Queue.objects.using(alias).filter(pk__in=names) if is_stopped(row)}
    slots = read_slots(using=alias)
    return read_loads(waiting, stopped, slots, names, now=now or database_now(using=alias), using=alias)


def read_loads(
    waiting: Mapping[str, ReadyCount],
    stopped: Collection[str],
    slots: Slots,
    names: Collection[str],
    *,
    now: datetime,
    using: str,
) -> dict[str, QueueLoad]:
    """Return the load of queues whose waiting jobs, pauses and workers are known. Two statements.

    The slots of workers with the same queues are shared by all of these: live work in any of them counts.
    """
    runs = _run_seconds({*names, *(name for queues in slots for name in queues), ALL_QUEUES}, using)
    minutes = read_recent_minutes(now, names=names, using=using)
    loads = {}
    for name in names:
        serving = [queues for queues in slots if not queues or name in queues]
        served = set[str]().union(*serving) if all(serving) else {ALL_QUEUES}
        count = waiting.get(name, ReadyCount(0, None)).number
        number, seconds = runs.get(name, (0, 0.0))
        loads[name] = QueueLoad(
            waiting=min(count, MAX_COUNTED),
            is_more=count > MAX_COUNTED,
            slots=count_slots(name, slots),
            busy_slots=sum(runs.get(queue, (0, 0.0))[1] for queue in served) / PERIOD.total_seconds(),
            run_seconds=seconds / number if number else None,
            minutes=minutes.of(name),
            is_stopped=name in stopped,
        )
    return loads


def _run_seconds(names: Collection[str], alias: str) -> dict[str, tuple[int, float]]:
    """Return the number of runs of the last hour and their seconds, by queue."""
    rows = Rollup.objects.using(alias).filter(
        span_seconds=SPAN_SECONDS, starts_at__gt=DatabaseNow(-PERIOD), queue_name__in=names
    )
    numbers: Counter[str] = Counter()
    seconds: defaultdict[str, float] = defaultdict(float)
    for name, runs in rows.values_list("queue_name", "runs"):
        for bucket, number in runs.items():
            numbers[name] += number
            seconds[name] += number * seconds_of(int(bucket))
    return {name: (number, seconds[name]) for name, number in numbers.items()}
