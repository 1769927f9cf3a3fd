"""What a piece of work takes: seconds, this process's CPU, and that of the server's sessions."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from . import proc
from .servers import Server

SERVERS = ("postgres", "mariadbd", "mysqld")
"""What a session's process is called: on another host, or in a container, its number means another program's here."""


class Spent:
    """Measure a ``with`` block. Sessions that are there at its begin and its end count, those in between do not."""

    seconds: float
    client_cpu: float
    server_cpu: float | None

    def __init__(self, server: Server) -> None:
        self._server = server

    def __enter__(self) -> Self:
        self._sessions = sessions_cpu(self._server)
        self._client_cpu = time.process_time()
        self._began = time.monotonic()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        frames: TracebackType | None,
    ) -> None:
        self.seconds = time.monotonic() - self._began
        self.client_cpu = time.process_time() - self._client_cpu
        self.server_cpu = sessions_cpu_since(self._server, self._sessions)

    def per_job(self, number: int) -> dict[str, float | None]:
        """Return the rate of ``number`` jobs, and the microseconds of CPU of one."""
        return {
            "jobs_per_second": number / self.seconds,
            "server_us": None if self.server_cpu is None else 1e6 * self.server_cpu / number,
            "client_us": 1e6 * self.client_cpu / number,
        }


def sessions_cpu(server: Server) -> dict[int, float] | None:
    """Return the CPU seconds of each process or thread that serves a session; None where that is not told."""
    tasks = server.session_tasks()
    seconds = {task: proc.thread_cpu_seconds(task) for task in tasks or () if proc.program(task) in SERVERS}
    told = {task: used for task, used in seconds.items() if used is not None}
    return told or None


def sessions_cpu_since(server: Server, before: dict[int, float] | None) -> float | None:
    """Return the CPU seconds that the sessions of ``before`` have used since then, as far as they are there."""
    now = sessions_cpu(server)
    if before is None or now is None:
        return None
    return sum(used - before[task] for task, used in now.items() if task in before)
