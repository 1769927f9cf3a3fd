"""Health checks: whether one ``runworker`` is live and ready, and whether all queues are served."""

from __future__ import annotations

from collections.abc import Sequence
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
    """Reasons why a ``runworker`` is not live (restart it) and not ready (wait); empty if it is."""

    not_live: tuple[str, ...]
    not_ready: tuple[str, ...]


def check_health(
    processes: Sequence[WorkerLiveness],
    *,
    wanted: int,
    stopping: bool,
    live_within: float,
    ready_within: float,
    check_within: float,
) -> Health:
    """Check a ``runworker`` that should have ``wanted`` worker processes.

    A process with a loop that has not run for ``live_within`` seconds is stuck in a way that a database outage
    does not explain. One that has not saved a heartbeat for ``ready_within`` seconds cannot work now, nor one that has
    not checked the queues for ``check_within`` seconds.
    """
    stuck = tuple(reason for process in processes for reason in _stuck(process, live_within))
    unready: tuple[str, ...] = ("it is stopping",) if stopping else ()
    if len(processes) < wanted:
        unready += (f"{len(processes)} of {wanted} worker processes are running",)
    unready += tuple(reason for process in processes for reason in _disconnected(process, ready_within))
    unready += tuple(reason for process in processes for reason in _blind(process, check_within))
    return Health(not_live=stuck, not_ready=unready + stuck)


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
class WaitingQueue:
    """A queue with ready jobs that is not paused; ``waited``: seconds that the first has been ready.

    ``is_full``: it has as many running jobs as it may have.
    """

    name: str
    waited: float
    is_full: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleWorker:
    """A living worker with a free slot; ``seconds`` since it last claimed a job, or started. ``queues`` None: all."""

    queues: frozenset[str] | None
    seconds: float


def find_unserved(
    waiting: Sequence[WaitingQueue],
    *,
    served: Sequence[frozenset[str] | None],
    idle: Sequence[IdleWorker] = (),
    wait_within: float,
    overdue_schedules: int = 0,
) -> list[str]:
    """Return problems: queues without a worker, too slow or overlooked, and schedules that are not fired.

    ``served``: the queues of each living worker, None for all. ``wait_within``: seconds that a job may be ready and
    a schedule overdue; ``overdue_schedules`` counts schedules beyond that.
    """
    problems = [] if served else ["no worker is alive; start one by 'manage.py runworker'"]
    for queue in waiting:
        if served and not any(queues is None or queue.name in queues for queues in served):
            problems.append(f"queue {queue.name}: jobs are ready and no living worker serves it")
        elif queue.waited > wait_within:
            problems.append(
                f"queue {queue.name}: a job has been ready for {queue.waited:.0f} s, longer than {wait_within:.0f} s"
            )
        elif number := _number_of_workers_that_overlook(queue, idle):
            problems.append(
                f"queue {queue.name}: a job has been ready for {queue.waited:.0f} s, and none of the {number} idle"
                " workers that serve it has claimed it"
            )
    if overdue_schedules:
        problems.append(
            f"{overdue_schedules} schedules are overdue by more than {wait_within:.0f} s; no scheduler is running"
        )
    return problems


def _number_of_workers_that_overlook(queue: WaitingQueue, idle: Sequence[IdleWorker]) -> int:
    if queue.is_full or queue.waited <= NOBODY_CLAIMS_SECONDS:
        return 0
    serving = [worker for worker in idle if worker.queues is None or queue.name in worker.queues]
    return sum(worker.seconds > NOBODY_CLAIMS_SECONDS for worker in serving)
