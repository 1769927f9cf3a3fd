"""Count jobs by queue and state."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Min

from ...models import CronSchedule, DeadLetter, Job, Queue
from ...policy.health import WaitingQueue
from ...policy.states import State
from ..clock import database_now
from ..dialects import open_dialect
from ..dialects.shared.reads import count_running, read_oldest_ready


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


def waiting_queues(*, using: str | None = None) -> list[WaitingQueue]:
    """Return the unpaused queues that have ready jobs, with how long their oldest job has been ready.

    One index lookup per queue and priority, many in one statement, however many jobs wait.
    """
    dialect, connection = open_dialect(using)
    snapshot = dialect.jobs.read_snapshot(connection, None)
    oldest = read_oldest_ready(connection, snapshot.lanes)
    caps = Queue.objects.using(connection.alias).filter(
        pk__in=snapshot.capped & oldest.keys(), max_running__isnull=False
    )
    full = {queue.name for queue in caps if count_running(connection, queue.name) >= (queue.max_running or 0)}
    return [
        WaitingQueue(name=name, waited=max((snapshot.now - at).total_seconds(), 0), is_full=name in full)
        for name, at in sorted(oldest.items())
    ]


def overdue_schedules(*, by: timedelta, using: str | None = None) -> int:
    """Return the number of schedules that were due longer than ``by`` ago and have not been checked."""
    _, connection = open_dialect(using)
    schedules = CronSchedule.objects.using(connection.alias)
    return schedules.filter(next_check_at__lt=database_now(using=connection.alias) - by).count()


def open_dead_letter_count(*, using: str | None = None) -> int:
    """Count the open dead letters. One statement over an index."""
    _, connection = open_dialect(using)
    return DeadLetter.objects.using(connection.alias).filter(status=DeadLetter.Status.OPEN).count()
