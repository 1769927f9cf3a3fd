"""Start ``python -m django runworker`` as a user would, and read from outside what it uses."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

START_SECONDS = 30.0
STOP_SECONDS = 60.0
PROC = Path("/proc")


class WorkerProcess:
    """One ``runworker`` with one worker process, as a context manager."""

    def __init__(
        self, *queues: str, arguments: Sequence[str] = (), environment: Mapping[str, str] | None = None
    ) -> None:
        self._arguments = [*(["--queues", ",".join(queues)] if queues else []), *arguments]
        self._environment = {**os.environ, **(environment or {})}
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - goes with the object

    def __enter__(self) -> Self:
        from django_jobs.models import Worker

        known = set(Worker.objects.values_list("pk", flat=True))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "django", "runworker", *self._arguments],
            env=self._environment,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        deadline = time.monotonic() + START_SECONDS
        try:
            while not (row := Worker.objects.exclude(pk__in=known).first()):
                self.check()
                if time.monotonic() > deadline:
                    raise RuntimeError(f"the worker did not register within {START_SECONDS} s:\n{self._output()}")
                time.sleep(0.02)
        except BaseException:
            self._stop()
            raise
        self.child_pid = row.pid
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        frames: TracebackType | None,
    ) -> None:
        self._stop()

    def check(self) -> None:
        """Raise where the worker has ended, with what it said."""
        if self._process.poll() is not None:
            raise RuntimeError(f"the worker ended with code {self._process.returncode}:\n{self._output()}")

    def cpu_seconds(self) -> float | None:
        """Return the processor time that all its processes have used; None where there is no /proc."""
        pids = self._pids()
        return sum(map(_cpu_seconds, pids)) if pids else None

    def resident_mib(self) -> float | None:
        """Return the memory that all its processes have in use now, shared pages counted in each."""
        pids = self._pids()
        return sum(_status_mib(pid, "VmRSS") for pid in pids) if pids else None

    def peak_mib(self) -> float | None:
        """Return the most memory that the process which runs jobs has ever had in use."""
        return _status_mib(self.child_pid, "VmHWM") if PROC.exists() else None

    def _stop(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def _output(self) -> str:
        self._log.seek(0)
        return self._log.read().decode(errors="replace")[-4_000:]

    def _pids(self) -> list[int]:
        """Return the process and its descendants."""
        if not PROC.exists():
            return []
        parents = {int(stat.parent.name): _parent(stat) for stat in PROC.glob("[0-9]*/stat")}
        found = [self._process.pid]
        for pid in found:
            found += [child for child, parent in parents.items() if parent == pid]
        return found


def _parent(stat: Path) -> int:
    fields = _fields(stat)
    return int(fields[1]) if fields else 0


def _cpu_seconds(pid: int) -> float:
    fields = _fields(PROC / str(pid) / "stat")
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") if fields else 0.0


def _fields(stat: Path) -> list[str]:
    """Return what follows the command's name, which may itself hold spaces: proc(5), state first."""
    try:
        return stat.read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _status_mib(pid: int, name: str) -> float:
    try:
        lines = (PROC / str(pid) / "status").read_text().splitlines()
    except OSError:
        return 0.0
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:"))
