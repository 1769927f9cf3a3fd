"""Workers: register, beat, leave, ask to stop; and declare lost those whose heartbeat has gone stale."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from enum import Enum, auto

from django.db.models import Q, QuerySet

from ..models import Worker
from ..models.base import MAX_ACTOR_LENGTH
from .clock import DatabaseNow
from .dialects import open_dialect

ALIVE = (Worker.State.RUNNING, Worker.State.STOPPING)


class HeartbeatStatus(Enum):
    """What a worker hears of itself with a heartbeat."""

    ALIVE = auto()
    STOP_REQUESTED = auto()
    LOST = auto()


def register_worker(
    *,
    hostname: str,
    pid: int,
    queues: Sequence[str] | None,
    concurrency: int,
    version: str,
    using: str | None = None,
) -> int:
    """Insert the row of a worker process and return its id. ``queues`` None: all."""
    _, connection = open_dialect(using)
    worker = Worker.objects.using(connection.alias).create(
        hostname=hostname[:255],
        pid=pid,
        queues=list(queues or []),
        concurrency=concurrency,
        version=version[:50],
        started_at=DatabaseNow(),
        heartbeat_at=DatabaseNow(),
    )
    return worker.pk


def record_heartbeat(
    worker_id: int, *, memory_bytes: int | None = None, using: str | None = None
) -> HeartbeatStatus:
    """Renew the heartbeat and tell whether the worker is held to be alive, and is to go on.

    One guarded statement; a second one where staff asked it to stop, or it was declared lost.
    """
    _, connection = open_dialect(using)
    alive = Worker.objects.using(connection.alias).filter(pk=worker_id, state__in=ALIVE)
    undisturbed = alive.filter(Q(stop_requested_at__isnull=True) | Q(state=Worker.State.STOPPING))
    if undisturbed.update(heartbeat_at=DatabaseNow(), memory_bytes=memory_bytes):
        return HeartbeatStatus.ALIVE
    if alive.update(heartbeat_at=DatabaseNow(), memory_bytes=memory_bytes):
        return HeartbeatStatus.STOP_REQUESTED
    return HeartbeatStatus.LOST


def stop_worker(worker_id: int, *, by: str = "", using: str | None = None) -> bool:
    """Ask a living worker to stop and tell whether it was alive and not asked before. One guarded statement.

    It hears of it with its next heartbeat, lets what runs finish within the grace time, and is not replaced. One that
    stops already, to be recycled, hears of it when it signs off, and is not replaced either.
    """
    _, connection = open_dialect(using)
    unasked = Worker.objects.using(connection.alias).filter(
        pk=worker_id, state__in=ALIVE, stop_requested_at__isnull=True
    )
    return bool(unasked.update(stop_requested_at=DatabaseNow(), stop_requested_by=by[:MAX_ACTOR_LENGTH]))


def is_stop_requested(worker_id: int, *, using: str | None = None) -> bool:
    """Tell whether staff asked this worker to stop. Nobody can any more once it has left."""
    _, connection = open_dialect(using)
    asked = Worker.objects.using(connection.alias).filter(pk=worker_id, stop_requested_at__isnull=False)
    return asked.exists()


def set_worker_state(worker_id: int, state: Worker.State, *, using: str | None = None) -> bool:
    """Set a living worker to stopping, stopped or lost and tell whether it was living. One guarded statement."""
    _, connection = open_dialect(using)
    alive = Worker.objects.using(connection.alias).filter(pk=worker_id, state__in=ALIVE)
    if state == Worker.State.STOPPING:
        return bool(alive.update(state=state))
    return bool(alive.update(state=state, stopped_at=DatabaseNow()))


def served_queues(*, stale_after: timedelta, using: str | None = None) -> list[frozenset[str] | None]:
    """Return the queues of each worker that takes jobs and has a fresh heartbeat; None: all. One statement."""
    _, connection = open_dialect(using)
    taking = Worker.objects.using(connection.alias).filter(
        state=Worker.State.RUNNING, concurrency__gt=0, heartbeat_at__gte=DatabaseNow(-stale_after)
    )
    return [frozenset(queues) or None for queues in taking.values_list("queues", flat=True)]


def mark_lost_workers(
    *, stale_after: timedelta, exclude_id: int | None = None, using: str | None = None
) -> int:
    """Set workers without a heartbeat for ``stale_after`` to lost and return how many. One guarded statement.

    ``exclude_id`` is the caller's own id: a worker that was frozen between its heartbeat and this must not bury itself.
    """
    stale = _others_alive(exclude_id, using).filter(heartbeat_at__lt=DatabaseNow(-stale_after))
    return stale.update(state=Worker.State.LOST, stopped_at=DatabaseNow())


def time_until_stale(
    *, stale_after: timedelta, exclude_id: int | None = None, using: str | None = None
) -> timedelta | None:
    """Return how soon the first living worker but ``exclude_id`` will be stale should it stay silent; None: there is none.

    One statement, by the database's clock.
    """
    others = _others_alive(exclude_id, using).annotate(now=DatabaseNow()).order_by("heartbeat_at")
    first = others.values_list("heartbeat_at", "now").first()
    return None if first is None else first[0] + stale_after - first[1]


def _others_alive(exclude_id: int | None, using: str | None) -> QuerySet[Worker]:
    _, connection = open_dialect(using)
    alive = Worker.objects.using(connection.alias).filter(state__in=ALIVE)
    return alive if exclude_id is None else alive.exclude(pk=exclude_id)
