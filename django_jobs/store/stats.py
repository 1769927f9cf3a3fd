"""Stats: how many jobs stand where."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Min

from ..models import DeadLetter, Job, Queue
from ..policy.states import State
from .dialects import open_dialect


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStats:
    """One queue: ``jobs`` maps each state to a count; ``oldest_ready_at`` is the head of the line."""

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


def open_dead_letters(*, using: str | None = None) -> int:
    """Count the open dead letters. One statement over an index."""
    _, connection = open_dialect(using)
    return DeadLetter.objects.using(connection.alias).filter(status=DeadLetter.Status.OPEN).count()
