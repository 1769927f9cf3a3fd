"""A worker process as seen by its supervisor."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import NamedTuple

from ...conf.database import public_id
from ..system.child_process import ChildProcess
from ..system.liveness import SharedLiveness
from .process_state import read_process_state
from .started_jobs import StartedJobs

SILENT_SECONDS = 3.0
"""An interpreter that ran no Python code for so long is held by C code: its own guard cannot end a job."""


class Ending(NamedTuple):
    """Message of a process that is about to end: a dead fork server tells no exit codes."""

    exit_code: int


class TimedOutJob(NamedTuple):
    """A job for which a process was killed."""

    database: str
    job_id: int


class Registered(NamedTuple):
    """Message of a process: its worker of a database has a new id."""

    database: str
    worker_id: int


@dataclass(slots=True, eq=False)
class ServedDatabase:
    """The worker of one database in a process, as its supervisor sees it. ``worker_ids``: the newest last."""

    alias: str
    started_jobs: StartedJobs = field(default_factory=StartedJobs)
    liveness: SharedLiveness = field(default_factory=SharedLiveness)
    worker_ids: list[int] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class WorkerChild:
    """``databases``: those that it serves. ``timed_out_job``: for which the process was killed.
    ``is_kill_requested``: staff asked for its end, and it cannot hear of that itself.

    ``error``: of which the process died, if it could tell. ``intended_exit_code``: told before the end.
    """

    process: ChildProcess
    reader: Connection
    databases: list[ServedDatabase]
    started_at: float = field(default_factory=time.monotonic)
    timed_out_job: TimedOutJob | None = None
    is_kill_requested: bool = False
    error: str = ""
    intended_exit_code: int | None = None

    @property
    def exit_code(self) -> int | None:
        """Its exit code after its death; None if nobody can tell."""
        code = self.process.exit_code
        return self.intended_exit_code if code is None else code

    def receive_messages(self) -> None:
        """Receive the worker ids, the error and the exit code that the process has sent."""
        try:
            while not self.reader.closed and self.reader.poll():
                message = self.reader.recv()
                match message:
                    case str():
                        self.error = message
                    case Ending(exit_code):
                        self.intended_exit_code = exit_code
                    case Registered(alias, worker_id):
                        self.of(alias).worker_ids.append(worker_id)
        except (EOFError, OSError):
            self.reader.close()

    def of(self, alias: str) -> ServedDatabase:
        """Return its worker of a database."""
        return next(served for served in self.databases if served.alias == alias)

    @property
    def has_registered(self) -> bool:
        """True once a worker of it has an id."""
        return any(served.worker_ids for served in self.databases)

    def has_polled(self) -> bool:
        """Tell whether it has looked for jobs in each database that it has reached, or needs not."""
        reached = [served for served in self.databases if served.worker_ids]
        checks = [served.liveness.read(self.process.pid).check_age is not None for served in reached]
        return bool(checks) and all(checks)

    def silent_seconds(self) -> float:
        """Return how long no Python code has run, 0 before the first sign."""
        return min(served.liveness.silent_seconds() for served in self.databases)

    def job_past_timeout(self, grace_seconds: float) -> TimedOutJob | None:
        """Return a job that holds the interpreter longer than its timeout allows, if there is one.

        A frozen process is left alone: it will find its claims lost.
        """
        due, job_id, alias = min((*served.liveness.next_timeout(), served.alias) for served in self.databases)
        if time.monotonic() < due + grace_seconds or self.silent_seconds() < SILENT_SECONDS:
            return None
        state = read_process_state(self.process.pid)
        return None if state is not None and state.is_frozen else TimedOutJob(alias, job_id)

    def describe_end(self) -> str:
        """Return a sentence about its death: what killed it, or how it died."""
        if self.is_kill_requested:
            return (
                f"worker process {self.process.pid} was killed: staff requested an end at once, and C code of a job"
                " holds the interpreter"
            )
        if self.timed_out_job is None:
            return f"worker process {self.process.pid} died: {self.process.describe_exit()}"
        job = public_id(self.timed_out_job.job_id, database=self.timed_out_job.database)
        return (
            f"worker process {self.process.pid} was killed: job {job} went on after its timeout,"
            " in C code that holds the interpreter"
        )
