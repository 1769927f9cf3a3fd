"""Count jobs by queue and state."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Min

from ...models import CronSchedule, DeadLetter, Job, Queue
from ...policy.service_facts import LateSchedule, QueueFacts
from ...policy.states import State
from ..clock import DatabaseNow
from ..dialects import open_dialect
from ..dialects.shared.reads import count_running, read_oldest_ready
from ..queues import waiting_names


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStats:
    """A queue: ``jobs`` maps each state to a count; ``oldest_ready_at`` is when its oldest ready job became ready."""

    name: str
    jobs: dict[State, int]
    oldest_ready_at: datetime | None
    paused_at: datetime | None
    paused_by: str


def queue_stats(*, using: str | None = None) -> list[QueueStats]:
    """Count every queue's jobs by state, sorted by name. Two statements; reads the whole job table."""
    _, connection = open_dialect(using)
    alias = connection.alias
    pauses = {queue.name: queue for queue in Queue.objects.using(alias).all()}
    counts: dict[str, dict[State, int]] = {name: {} for name in pauses}
    oldest: dict[str, datetime] = {}
    rows = (
        Job.objects.using(alias)
        .order_by()
        .values_list("queue_name", "state")
        .annotate(number=Count("pk"), oldest=Min("ready_at"))
    )
    for queue_name, state, number, ready_at in rows:
        counts.setdefault(queue_name, {})[State(state)] = number
        if state == State.READY and ready_at is not None:
            oldest[queue_name] = ready_at
    return [
        QueueStats(
            name=name,
            jobs={state: counts[name].get(state, 0) for state in State},
            oldest_ready_at=oldest.get(name),
            paused_at=pauses[name].paused_at if name in pauses else None,
            paused_by=pauses[name].paused_by if name in pauses else "",
        )
        for name in sorted(counts)
    ]


def waiting_queues(*, using: str | None = None) -> list[QueueFacts]:
    """Return the unpaused queues that have ready jobs, each as one with one job, and how long its oldest is ready.

    One index lookup per queue and priority, many in one statement, however many jobs wait.
    """
    dialect, connection = open_dialect(using)
    snapshot = dialect.jobs.read_snapshot(connection, None)
    oldest = read_oldest_ready(connection, snapshot.lanes)
    capped = {row.name: row for row in Queue.objects.using(connection.alias).filter(pk__in=snapshot.capped)}
    caps = [row for name, row in capped.items() if name in oldest and row.max_running is not None]
    full = {queue.name for queue in caps if count_running(connection, queue.name) >= (queue.max_running or 0)}
    return [
        QueueFacts(
            name=name,
            waiting=1,
            waited_seconds=max((snapshot.now - at).total_seconds(), 0),
            is_full=name in full,
            is_suspended=name in capped and capped[name].suspended_until is not None,
        )
        for name, at in sorted(oldest.items())
    ]


def known_queues(*, limit: int | None = None, using: str | None = None) -> list[str]:
    """Return the queues that have a row, up to ``limit``, or jobs that wait, sorted. Three bounded statements."""
    _, connection = open_dialect(using)
    rows = Queue.objects.using(connection.alias).order_by("name").values_list("name", flat=True)
    return sorted({*rows[:limit], *waiting_names(using=connection.alias)})


def late_schedules(*, limit: int, using: str | None = None) -> list[LateSchedule]:
    """Return up to ``limit`` schedules whose check is due, the latest first. One statement over an index."""
    _, connection = open_dialect(using)
    schedules = CronSchedule.objects.using(connection.alias).filter(next_check_at__lt=DatabaseNow())
    rows = schedules.annotate(now=DatabaseNow()).order_by("next_check_at", "pk")[:limit]
    return [
        LateSchedule(schedule_id=pk, name=name, seconds=(now - check_at).total_seconds())
        for pk, name, check_at, now in rows.values_list("pk", "name", "next_check_at", "now")
        if check_at is not None
    ]


def open_dead_letter_count(*, using: str | None = None) -> int:
    """Count the open dead letters. One statement over an index."""
    _, connection = open_dialect(using)
    return DeadLetter.objects.using(connection.alias).filter(status=DeadLetter.Status.OPEN).count()
