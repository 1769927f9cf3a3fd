"""Queues: pause and resume them, and note those that workers meet."""

from __future__ import annotations

from collections.abc import Iterable

from ..models import Queue
from ..models.base import MAX_ACTOR_LENGTH
from ..models.queue import MAX_RUNNING
from .clock import DatabaseNow
from .dialects import open_dialect
from .notify import notify_on_commit


def ensure_queues(names: Iterable[str], *, using: str | None = None) -> None:
    """Insert the queues that have no row yet. One statement."""
    _, connection = open_dialect(using)
    rows = [Queue(name=name) for name in names]
    if rows:
        Queue.objects.using(connection.alias).bulk_create(rows, ignore_conflicts=True)


def set_max_running(name: str, most: int | None, *, using: str | None = None) -> None:
    """Let so many jobs of a queue run at once, None: all; holds from the commit on for what is claimed then."""
    if most is not None and not (type(most) is int and 1 <= most <= MAX_RUNNING):
        raise ValueError(
            f"max_running: expected a whole number from 1 to {MAX_RUNNING}, or None for no limit, got {most!r}"
        )
    _, connection = open_dialect(using)
    ensure_queues([name], using=connection.alias)
    Queue.objects.using(connection.alias).filter(name=name).update(max_running=most)
    notify_on_commit([name], using=connection.alias)


def pause(name: str, *, by: str = "", using: str | None = None) -> bool:
    """Pause a queue and tell whether it was running. From the commit on, none of its jobs is claimed."""
    _, connection = open_dialect(using)
    ensure_queues([name], using=connection.alias)
    running = Queue.objects.using(connection.alias).filter(name=name, paused_at__isnull=True)
    return bool(running.update(paused_at=DatabaseNow(), paused_by=by[:MAX_ACTOR_LENGTH]))


def resume(name: str, *, using: str | None = None) -> bool:
    """Resume a queue and tell whether it was paused."""
    _, connection = open_dialect(using)
    paused = Queue.objects.using(connection.alias).filter(name=name, paused_at__isnull=False)
    resumed = bool(paused.update(paused_at=None, paused_by=""))
    if resumed:
        notify_on_commit([name], using=connection.alias)
    return resumed
