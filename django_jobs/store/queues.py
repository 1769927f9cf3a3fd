"""Queues: pause, resume, suspend and limit them, and insert rows for those that workers see or jobs wait in."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from django.db.models import Q

from ..exceptions import ConfigurationError
from ..models import Queue
from ..models.base import MAX_ACTOR_LENGTH
from ..models.queue import MAX_RUNNING
from .clock import DatabaseNow
from .dialects import open_dialect
from .dialects.shared.reads import read_waiting_queues
from .notify import notify_on_commit

MAX_SUSPENSION = timedelta(minutes=2)
"""No suspension lasts so long: an instant further ahead was saved before the clock was set back."""
MAX_READ = 2_000
"""How many scheduled jobs, those due next, and how many of the newest jobs are read for the names of their queues."""


def ensure_queues(names: Iterable[str], *, using: str | None = None) -> None:
    """Insert rows for queues without one. One statement."""
    _, connection = open_dialect(using)
    rows = [Queue(name=name) for name in names]
    if rows:
        Queue.objects.using(connection.alias).bulk_create(rows, ignore_conflicts=True)


def waiting_names(*, using: str | None = None) -> set[str]:
    """Return the unpaused queues with ready jobs, and those of scheduled and blocked jobs as far as they are read.

    Two statements, bounded however many jobs there are: a lookup for each queue and priority with ready jobs, the
    2,000 scheduled jobs that are due next and the 2,000 newest jobs.
    """
    dialect, connection = open_dialect(using)
    lanes = dialect.jobs.read_snapshot(connection, None).lanes
    return {lane.queue_name for lane in lanes} | read_waiting_queues(connection, limit=MAX_READ)


def register_queues(*, using: str | None = None) -> list[str]:
    """Insert rows for queues in which jobs wait and that no worker has seen; return their names.

    Three statements, four if there are any. So they can be listed, paused and limited before a worker serves them.
    """
    _, connection = open_dialect(using)
    names = waiting_names(using=connection.alias)
    new = names.difference(Queue.objects.using(connection.alias).filter(pk__in=names).values_list("pk", flat=True))
    ensure_queues(new, using=connection.alias)
    return sorted(new)


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


def lock_capped_queue(queue_name: str, *, using: str | None = None) -> Queue | None:
    """Lock and return a queue of which only a number of jobs may be claimed now; None if it is not such a one.

    It has a maximum of running jobs, or was suspended until now. It is not paused.
    """
    _, connection = open_dialect(using)
    queues = Queue.objects.using(connection.alias).select_for_update()
    is_suspended = Q(suspended_until__gt=DatabaseNow(), suspended_until__lt=DatabaseNow(MAX_SUSPENSION))
    capped = queues.filter(Q(max_running__isnull=False) | Q(suspended_until__isnull=False), paused_at__isnull=True)
    return capped.exclude(is_suspended, suspended_until__isnull=False).filter(pk=queue_name).first()


def suspend(queue_name: str, seconds: float, *, using: str | None = None) -> None:
    """Have no job of a queue claimed for some seconds, and then one, as a test, until the suspension is ended."""
    _, connection = open_dialect(using)
    row = Queue.objects.using(connection.alias).filter(pk=queue_name)
    until = DatabaseNow(timedelta(seconds=seconds))
    if not row.update(suspended_until=until):
        ensure_queues([queue_name], using=connection.alias)
        row.update(suspended_until=until)


def end_suspension(queue_name: str, *, using: str | None = None) -> bool:
    """Have all jobs of a queue claimed again; tell whether it was suspended. One statement."""
    _, connection = open_dialect(using)
    row = Queue.objects.using(connection.alias).filter(pk=queue_name, suspended_until__isnull=False)
    ended = bool(row.update(suspended_until=None))
    if ended:
        notify_on_commit([queue_name], using=connection.alias)
    return ended


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
