"""A worker process as seen by its supervisor."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

from ..child_process import ChildProcess
from ..liveness import SharedLiveness
from .process_state import read_process_state
from .started_jobs import StartedJobs

SILENT_SECONDS = 3.0
"""An interpreter that ran no Python code for so long is held by C code: its own guard cannot end a job."""


@dataclass(slots=True, eq=False)
class WorkerChild:
    """``worker_ids``: the newest last. ``timed_out_job``: the id of the job for which the process was killed.

    ``error``: of which the process died, if it could tell.
    """

    process: ChildProcess
    reader: Connection
    started_jobs: StartedJobs
    liveness: SharedLiveness
    started_at: float = field(default_factory=time.monotonic)
    worker_ids: list[int] = field(default_factory=list)
    timed_out_job: int | None = None
    error: str = ""

    def receive_messages(self) -> None:
        """Receive the worker ids, and the error, that the process has sent."""
        try:
            while not self.reader.closed and self.reader.poll():
                message = self.reader.recv()
                if isinstance(message, str):
                    self.error = message
                else:
                    self.worker_ids.append(message)
        except (EOFError, OSError):
            self.reader.close()

    def job_past_timeout(self, grace_seconds: float) -> int | None:
        """Return the id of a job that holds the interpreter longer than its timeout allows, if there is one.

        A frozen process is left alone: it will find its claims lost.
        """
        due, job_id = self.liveness.next_timeout()
        if time.monotonic() < due + grace_seconds or self.liveness.silent_seconds() < SILENT_SECONDS:
            return None
        state = read_process_state(self.process.pid)
        return None if state is not None and state.is_frozen else job_id
