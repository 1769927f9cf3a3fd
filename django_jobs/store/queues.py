"""Queues: pause, resume and limit them, and insert rows for those that workers see."""

from __future__ import annotations

from collections.abc import Iterable

from ..exceptions import ConfigurationError
from ..models import Queue
from ..models.base import MAX_ACTOR_LENGTH
from ..models.queue import MAX_RUNNING
from .clock import DatabaseNow
from .dialects import open_dialect
from .notify import notify_on_commit


def ensure_queues(names: Iterable[str], *, using: str | None = None) -> None:
    """Insert rows for queues without one. One statement."""
    _, connection = open_dialect(using)
    rows = [Queue(name=name) for name in names]
    if rows:
        Queue.objects.using(connection.alias).bulk_create(rows, ignore_conflicts=True)


def set_max_running(queue_name: str, limit: int | None, *, using: str | None = None) -> None:
    """Limit the running jobs of a queue over all workers; None: no limit. Raises ConfigurationError.

    Holds for claims after the commit; running jobs go on.
    """
    if limit is not None and not (type(limit) is int and 1 <= limit <= MAX_RUNNING):
        raise ConfigurationError(
            f"max_running: expected a whole number from 1 to {MAX_RUNNING}, or None for no limit, got {limit!r}"
        )
    _, connection = open_dialect(using)
    ensure_queues([queue_name], using=connection.alias)
    Queue.objects.using(connection.alias).filter(name=queue_name).update(max_running=limit)
    notify_on_commit([queue_name], using=connection.alias)


def pause(queue_name: str, *, by: str = "", using: str | None = None) -> bool:
    """Pause a queue; return False if it was paused before. After the commit none of its jobs is claimed."""
    _, connection = open_dialect(using)
    ensure_queues([queue_name], using=connection.alias)
    running = Queue.objects.using(connection.alias).filter(name=queue_name, paused_at__isnull=True)
    return bool(running.update(paused_at=DatabaseNow(), paused_by=by[:MAX_ACTOR_LENGTH]))


def resume(queue_name: str, *, using: str | None = None) -> bool:
    """Resume a queue; return False if it was not paused."""
    _, connection = open_dialect(using)
    paused = Queue.objects.using(connection.alias).filter(name=queue_name, paused_at__isnull=False)
    resumed = bool(paused.update(paused_at=None, paused_by=""))
    if resumed:
        notify_on_commit([queue_name], using=connection.alias)
    return resumed
