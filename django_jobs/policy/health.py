"""Health checks: whether one ``runworker`` is live and ready, and which queues no worker serves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

NOBODY_CLAIMS_SECONDS = 30.0
"""A job that has been ready for this long beside an idle worker has been overlooked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerLiveness:
    """Seconds since a worker process last attempted a heartbeat, saved one, polled, and checked the queues for jobs.

    None: not yet. Negative: it has stopped polling, as intended. A poll checks the queues unless it pauses; a process
    that has no room for jobs counts as one that has checked.
    """

    pid: int
    heartbeat_attempt_age: float | None
    heartbeat_age: float | None
    poll_age: float | None
    check_age: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Reasons why a ``runworker`` is not live (restart it) and not ready (wait); empty if it is.

    ``waits_for``: the reason why it has started no process yet, if that is so. ``degraded``: why it serves only some of
    its databases.
    """

    not_live: tuple[str, ...]
    not_ready: tuple[str, ...]
    waits_for: str = ""
    degraded: tuple[str, ...] = ()


def check_health(
    processes: Sequence[WorkerLiveness],
    *,
    wanted: int,
    stopping: bool,
    waits_for: str = "",
    live_within: float,
    ready_within: float,
    check_within: float,
) -> Health:
    """Check a ``runworker`` that should have ``wanted`` worker processes.

    ``waits_for``: the reason why it has started none yet.

    A process with a loop that has not run for ``live_within`` seconds is stuck in a way that a database outage
    does not explain. One that has not saved a heartbeat for ``ready_within`` seconds cannot work now, nor one that has
    not checked the queues for ``check_within`` seconds.
    """
    stuck = tuple(reason for process in processes for reason in _stuck(process, live_within))
    unready: tuple[str, ...] = ("it is stopping",) if stopping else ()
    if waits_for:
        unready += (waits_for,)
    elif len(processes) < wanted:
        unready += (f"{len(processes)} of {wanted} worker processes are running",)
    unready += tuple(reason for process in processes for reason in _disconnected(process, ready_within))
    unready += tuple(reason for process in processes for reason in _blind(process, check_within))
    return Health(not_live=stuck, not_ready=unready + stuck, waits_for="" if stopping else waits_for)


def combine_health(by_database: Mapping[str, Health]) -> Health:
    """Return the health of a ``runworker`` that serves these databases: ready if it serves one of them."""
    if len(by_database) == 1:
        return next(iter(by_database.values()))
    not_live = _named({alias: health.not_live for alias, health in by_database.items()})
    not_ready = _named({alias: health.not_ready for alias, health in by_database.items()})
    if any(not health.not_ready for health in by_database.values()):
        return Health(not_live=not_live, not_ready=not_live, degraded=not_ready)
    waits = {alias: (health.waits_for,) for alias, health in by_database.items()}
    is_waiting = all(health.waits_for for health in by_database.values())
    return Health(not_live=not_live, not_ready=not_ready, waits_for="; ".join(_named(waits)) if is_waiting else "")


def _named(reasons: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return the reasons with their databases; those of all once, without."""
    shared = [reason for reason in next(iter(reasons.values())) if all(reason in each for each in reasons.values())]
    own = [
        f"database {alias!r}: {reason}" for alias, each in reasons.items() for reason in each if reason not in shared
    ]
    return (*shared, *own)


def _stuck(process: WorkerLiveness, within: float) -> list[str]:
    reasons = []
    if process.heartbeat_attempt_age is not None and process.heartbeat_attempt_age > within:
        reasons.append(
            f"worker process {process.pid}: no heartbeat attempted for {process.heartbeat_attempt_age:.0f} s"
        )
    if process.poll_age is not None and process.poll_age > within:
        reasons.append(f"worker process {process.pid}: has not polled for jobs for {process.poll_age:.0f} s")
    return reasons


def _disconnected(process: WorkerLiveness, within: float) -> list[str]:
    if process.heartbeat_age is None:
        return [f"worker process {process.pid}: has not reached the database yet"]
    if process.heartbeat_age > within:
        return [f"worker process {process.pid}: no heartbeat saved for {process.heartbeat_age:.0f} s"]
    return []


def _blind(process: WorkerLiveness, within: float) -> list[str]:
    if process.check_age is None or process.check_age <= within:
        return []
    return [f"worker process {process.pid}: has not checked the queues for {process.check_age:.0f} s"]


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleWorker:
    """A living worker with a free slot; ``seconds`` since it last claimed a job, or started. ``queues`` None: all."""

    queues: frozenset[str] | None
    seconds: float


def queues_without_worker(waiting: Sequence[str], served: Sequence[frozenset[str] | None]) -> list[str]:
    """Return the queues that no living worker serves; ``served``: the queues of each, None for all."""
    return [name for name in waiting if not any(queues is None or name in queues for queues in served)]


def workers_that_overlook(queue_name: str, waited_seconds: float, idle: Sequence[IdleWorker]) -> int:
    """Return how many idle workers could have claimed a queue's job that has been ready for so long."""
    if waited_seconds <= NOBODY_CLAIMS_SECONDS:
        return 0
    serving = [worker for worker in idle if worker.queues is None or queue_name in worker.queues]
    return sum(worker.seconds > NOBODY_CLAIMS_SECONDS for worker in serving)
