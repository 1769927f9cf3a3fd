"""Workers: register, send heartbeats, request a stop, mark the stale ones as lost, and tell which are idle."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any

from django.db.models import Count, Max, Q, QuerySet

from ..conf.readers import MAX_RELEASE_LENGTH
from ..models import Attempt, Job, Worker
from ..models.base import MAX_ACTOR_LENGTH
from ..policy.clock_steps import TOLERANCE
from ..policy.health import IdleWorker
from ..policy.states import State
from .clock import DatabaseNow
from .dialects import open_dialect

NEWEST_ATTEMPTS = 1_000
"""How many attempts tell who has claimed lately."""


class HeartbeatStatus(Enum):
    """Answer to a worker's heartbeat."""

    ALIVE = auto()
    STOP_REQUESTED = auto()
    KILL_REQUESTED = auto()
    LOST = auto()


def register_worker(
    *,
    hostname: str,
    pid: int,
    queues: Sequence[str] | None,
    concurrency: int,
    version: str,
    release: str = "",
    using: str | None = None,
) -> int:
    """Insert the row of a worker process and return its id. ``queues`` None: all queues."""
    _, connection = open_dialect(using)
    worker = Worker.objects.using(connection.alias).create(
        hostname=hostname[:255],
        pid=pid,
        queues=list(queues or []),
        concurrency=concurrency,
        version=version[:50],
        release=release[:MAX_RELEASE_LENGTH],
        started_at=DatabaseNow(),
        heartbeat_at=DatabaseNow(),
    )
    return worker.pk


def record_heartbeat(
    worker_id: int,
    *,
    memory_bytes: int | None = None,
    activity: dict[str, Any] | None = None,
    using: str | None = None,
) -> HeartbeatStatus:
    """Renew the heartbeat and return whether the worker is alive, should stop, or is lost.

    ``activity``: what it runs, as ``policy/activity.py`` writes it. One guarded statement; two more if a stop was
    requested or the worker is lost.
    """
    return _renew(worker_id, {"memory_bytes": memory_bytes, "activity": activity}, using)


def renew_heartbeat(worker_id: int, *, using: str | None = None) -> HeartbeatStatus:
    """Renew the heartbeat of a worker that cannot do it itself: what it reported before stays."""
    return _renew(worker_id, {}, using)


def _renew(worker_id: int, report: dict[str, Any], using: str | None) -> HeartbeatStatus:
    _, connection = open_dialect(using)
    alive = Worker.objects.using(connection.alias).filter(pk=worker_id, state__in=Worker.ALIVE_STATES)
    undisturbed = alive.filter(Q(stop_requested_at__isnull=True) | Q(state=Worker.State.STOPPING))
    if undisturbed.filter(kill_requested_at__isnull=True).update(heartbeat_at=DatabaseNow(), **report):
        return HeartbeatStatus.ALIVE
    if not alive.update(heartbeat_at=DatabaseNow(), **report):
        return HeartbeatStatus.LOST
    is_killed = is_kill_requested(worker_id, using=connection.alias)
    return HeartbeatStatus.KILL_REQUESTED if is_killed else HeartbeatStatus.STOP_REQUESTED


def report_activity(worker_id: int, activity: dict[str, Any], *, using: str | None = None) -> None:
    """Save what a living worker runs, between two heartbeats. One guarded statement."""
    _, connection = open_dialect(using)
    alive = Worker.objects.using(connection.alias).filter(pk=worker_id, state__in=Worker.ALIVE_STATES)
    alive.update(activity=activity)


def stop_worker(worker_id: int, *, by: str = "", using: str | None = None) -> bool:
    """Request a living worker to stop; return False if it is not alive or was requested before. One guarded statement.

    Its next heartbeat tells it; it lets running jobs finish within the grace period and is not replaced. A worker that
    is being recycled learns of it when it exits, and is not replaced either.
    """
    _, connection = open_dialect(using)
    running = Worker.objects.using(connection.alias).filter(
        pk=worker_id, state__in=Worker.ALIVE_STATES, stop_requested_at__isnull=True
    )
    return bool(running.update(stop_requested_at=DatabaseNow(), stop_requested_by=by[:MAX_ACTOR_LENGTH]))


def request_kill(worker_id: int, *, by: str = "", using: str | None = None) -> bool:
    """Request a living worker to end at once; return False if it is not alive or was requested before.

    One guarded statement. Its next heartbeat tells it, or its supervisor, if the worker cannot run Python code.
    """
    _, connection = open_dialect(using)
    alive = Worker.objects.using(connection.alias).filter(
        pk=worker_id, state__in=Worker.ALIVE_STATES, kill_requested_at__isnull=True
    )
    return bool(alive.update(kill_requested_at=DatabaseNow(), kill_requested_by=by[:MAX_ACTOR_LENGTH]))


def is_kill_requested(worker_id: int, *, using: str | None = None) -> bool:
    """Tell whether an end at once of this worker was requested."""
    _, connection = open_dialect(using)
    requested = Worker.objects.using(connection.alias).filter(pk=worker_id, kill_requested_at__isnull=False)
    return requested.exists()


def is_stop_requested(worker_id: int, *, using: str | None = None) -> bool:
    """Tell whether a stop of this worker was requested. Final once it has left."""
    _, connection = open_dialect(using)
    requested = Worker.objects.using(connection.alias).filter(pk=worker_id, stop_requested_at__isnull=False)
    return requested.exists()


def set_worker_state(worker_id: int, state: Worker.State, *, pid: int | None = None, using: str | None = None) -> bool:
    """Set a living worker to stopping, stopped or lost; return False if it was not alive. One guarded statement.

    ``pid``: only if it is that process. In a database that was replaced meanwhile the id may be another's.
    """
    _, connection = open_dialect(using)
    alive = Worker.objects.using(connection.alias).filter(pk=worker_id, state__in=Worker.ALIVE_STATES)
    if pid is not None:
        alive = alive.filter(pid=pid)
    if state == Worker.State.STOPPING:
        return bool(alive.update(state=state))
    return bool(alive.update(state=state, stopped_at=DatabaseNow()))


def served_queues(*, stale_after: timedelta, using: str | None = None) -> list[frozenset[str] | None]:
    """Return the queues of each running worker with a fresh heartbeat; None: all queues. One statement."""
    _, connection = open_dialect(using)
    working = Worker.objects.using(connection.alias).filter(
        state=Worker.State.RUNNING, concurrency__gt=0, heartbeat_at__gte=DatabaseNow(-stale_after)
    )
    return [frozenset(queues) or None for queues in working.values_list("queues", flat=True)]


def clamp_heartbeats(*, dry: bool = False, using: str | None = None) -> int:
    """Set heartbeats in the future to now, and return how many: the database's clock was set back meanwhile.

    A living worker renews its heartbeat in any case; a dead one would count as alive until the clock has caught up.
    """
    _, connection = open_dialect(using)
    alive = Worker.objects.using(connection.alias).filter(state__in=Worker.ALIVE_STATES)
    ahead = alive.filter(heartbeat_at__gt=DatabaseNow(TOLERANCE))
    return ahead.count() if dry else ahead.update(heartbeat_at=DatabaseNow())


def idle_workers(*, stale_after: timedelta, using: str | None = None) -> list[IdleWorker]:
    """Return the running workers with a free slot, and for how long each has claimed nothing. Three statements.

    What a worker claimed is seen by its running jobs and by the newest attempts, which are written when runs end.
    """
    _, connection = open_dialect(using)
    alias = connection.alias
    working = Worker.objects.using(alias).filter(
        state=Worker.State.RUNNING, concurrency__gt=0, heartbeat_at__gte=DatabaseNow(-stale_after)
    )
    running = Job.objects.using(alias).filter(state=State.RUNNING).order_by().values_list("worker_id")
    claims = {worker_id: (number, at) for worker_id, number, at in running.annotate(Count("pk"), Max("started_at"))}
    newest = Attempt.objects.using(alias).order_by("-pk").values_list("worker_id", "started_at")[:NEWEST_ATTEMPTS]
    started: dict[int | None, datetime] = {}
    for worker_id, at in newest:
        if at is not None:
            started[worker_id] = max(at, started.get(worker_id, at))
    idle = []
    rows = working.annotate(now=DatabaseNow()).values_list("pk", "queues", "concurrency", "started_at", "now")
    for worker_id, queues, concurrency, started_at, now in rows:
        number, claimed_at = claims.get(worker_id, (0, None))
        if number < concurrency:
            last = max(at for at in (started_at, claimed_at, started.get(worker_id)) if at is not None)
            idle.append(IdleWorker(queues=frozenset(queues) or None, seconds=(now - last).total_seconds()))
    return idle


def mark_lost_workers(*, stale_after: timedelta, exclude_id: int | None = None, using: str | None = None) -> int:
    """Set workers without a heartbeat for ``stale_after`` to lost and return how many. Two guarded statements.

    ``exclude_id`` is the caller's own id: a worker that was frozen after its heartbeat must not mark itself as lost.
    A heartbeat in the future counts as one of now.
    """
    clamp_heartbeats(using=using)
    stale = _others_alive(exclude_id, using).filter(heartbeat_at__lt=DatabaseNow(-stale_after))
    return stale.update(state=Worker.State.LOST, stopped_at=DatabaseNow())


def _others_alive(exclude_id: int | None, using: str | None) -> QuerySet[Worker]:
    _, connection = open_dialect(using)
    alive = Worker.objects.using(connection.alias).filter(state__in=Worker.ALIVE_STATES)
    return alive if exclude_id is None else alive.exclude(pk=exclude_id)
