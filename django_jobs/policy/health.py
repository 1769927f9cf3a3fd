"""Judge health: whether one ``runworker`` is live and ready, and whether the queues are served at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerLiveness:
    """One worker process, in seconds ago: its last heartbeat tried, its last heartbeat saved, its last look for jobs.

    None: not yet. Below zero: it has stopped looking for jobs, as it should.
    """

    pid: int
    tried: float | None
    saved: float | None
    looked: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Why a ``runworker`` is not live (start it anew) and why it is not ready (wait); empty where it is."""

    not_live: tuple[str, ...]
    not_ready: tuple[str, ...]


def check_health(
    pulses: Sequence[WorkerLiveness], *, wanted: int, stopping: bool, live_within: float, ready_within: float
) -> Health:
    """Judge a ``runworker`` that wants ``wanted`` worker processes.

    A process that has not turned a loop for ``live_within`` seconds is stuck in a way that no outage of the
    database explains. One whose heartbeat was not saved for ``ready_within`` seconds cannot work now.
    """
    stuck = tuple(reason for one in pulses for reason in _stuck(one, live_within))
    unready: tuple[str, ...] = ("it is stopping",) if stopping else ()
    if len(pulses) < wanted:
        unready += (f"{len(pulses)} of {wanted} worker processes are there",)
    unready += tuple(reason for one in pulses for reason in _disconnected(one, ready_within))
    return Health(not_live=stuck, not_ready=unready + stuck)


def _stuck(one: WorkerLiveness, within: float) -> list[str]:
    reasons = []
    if one.tried is not None and one.tried > within:
        reasons.append(f"worker process {one.pid}: has not tried a heartbeat for {one.tried:.0f} s")
    if one.looked is not None and one.looked > within:
        reasons.append(f"worker process {one.pid}: has not looked for jobs for {one.looked:.0f} s")
    return reasons


def _disconnected(one: WorkerLiveness, within: float) -> list[str]:
    if one.saved is None:
        return [f"worker process {one.pid}: has not reached the database yet"]
    if one.saved > within:
        return [f"worker process {one.pid}: no heartbeat was saved for {one.saved:.0f} s"]
    return []


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingQueue:
    """A queue, not paused, in which jobs are ready; ``waited`` is how long the first has been, in seconds."""

    name: str
    waited: float


def find_unserved(
    waiting: Sequence[WaitingQueue],
    *,
    served: Sequence[frozenset[str] | None],
    wait_within: float,
    overdue_schedules: int = 0,
) -> list[str]:
    """Say which queues nobody works off, or not fast enough, and that nobody fires schedules.

    ``served`` has the queues of each living worker, None for all; ``wait_within`` is in seconds, also that by which
    ``overdue_schedules`` are.
    """
    problems = [] if served else ["no worker is alive; start one by 'manage.py runworker'"]
    for queue in waiting:
        if served and not any(queues is None or queue.name in queues for queues in served):
            problems.append(f"queue {queue.name}: jobs are ready and no living worker serves it")
        elif queue.waited > wait_within:
            problems.append(
                f"queue {queue.name}: a job has been ready for {queue.waited:.0f} s, longer than {wait_within:.0f} s"
            )
    if overdue_schedules:
        problems.append(
            f"{overdue_schedules} schedules have been due for longer than {wait_within:.0f} s; no scheduler fires them"
        )
    return problems
