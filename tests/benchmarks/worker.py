"""Start ``python -m django runworker`` as a user would, or the limit's program, and read what it uses from outside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Literal, Self

from . import proc

START_SECONDS = 30.0
STOP_SECONDS = 60.0
POLL_SECONDS = 0.01


class Program:
    """A program in a process of its own, as a context manager that waits until it has started."""

    title = "the program"

    def __init__(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str] | None = None,
        before: Sequence[str] = (),
    ) -> None:
        self._command = [*before, sys.executable, *arguments]
        self._environment = {**os.environ, **(environment or {})}
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - goes with the object

    def __enter__(self) -> Self:
        self.started_at = time.time()
        self._process = subprocess.Popen(
            self._command,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        deadline = time.monotonic() + START_SECONDS
        try:
            while not self.has_started():
                self.check()
                if time.monotonic() > deadline:
                    raise RuntimeError(f"{self.title} did not start within {START_SECONDS} s:\n{self.output()}")
                time.sleep(POLL_SECONDS)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        frames: TracebackType | None,
    ) -> None:
        self._stop()

    def has_started(self) -> bool:
        """Tell whether it has said that it is ready."""
        return "ready" in self.output().splitlines()

    def check(self) -> None:
        """Raise where it has ended, with what it said."""
        if self._process.poll() is not None:
            raise RuntimeError(f"{self.title} ended with code {self._process.returncode}:\n{self.output()}")

    def cpu_seconds(self) -> float | None:
        """Return the CPU time that all its processes have used; None where there is no /proc."""
        return proc.cpu_seconds(proc.descendants(self._process.pid))

    def pss_mib(self) -> float | None:
        """Return the memory that all its processes have in use now, shared pages counted once."""
        return proc.pss_mib(proc.descendants(self._process.pid))

    def processes(self) -> int:
        """Return how many processes it is."""
        return len(proc.descendants(self._process.pid))

    def output(self) -> str:
        """Return the end of what it has said."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace")[-4_000:]

    def _stop(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._process.stdin:
            self._process.stdin.close()


class WorkerProcess(Program):
    """One ``runworker``, which has started once each of its worker processes is registered."""

    title = "the worker"

    def __init__(
        self,
        *queues: str,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        workers: int = 1,
        before: Sequence[str] = (),
    ) -> None:
        served = ["--queues", ",".join(queues)] if queues else []
        super().__init__(["-m", "django", "runworker", *served, *arguments], environment, before)
        self.workers = workers

    def __enter__(self) -> Self:
        from django_jobs.models import Worker

        self._known = set(Worker.objects.values_list("pk", flat=True))
        return super().__enter__()

    def has_started(self) -> bool:
        from django_jobs.models import Worker

        pids = list(Worker.objects.exclude(pk__in=self._known).values_list("pid", flat=True))
        if len(pids) < self.workers:
            return False
        self.child_pid = pids[0]
        return True

    def peak_mib(self) -> float | None:
        """Return the most memory that the process which runs jobs has ever had in use."""
        return proc.peak_mib(self.child_pid)


class LimitWorker(Program):
    """The limit's program in a process of its own, at tables that another has made."""

    title = "the limit's program"

    def __init__(self, vendor: str, *, way: Literal["serve", "drain"] = "serve") -> None:
        super().__init__(["-m", "tests.benchmarks.limit_worker", vendor, os.environ["DJANGO_JOBS_TEST_NAME"], way])

    def go(self) -> None:
        """Let it drain what is there."""
        assert self._process.stdin
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()

    def told(self) -> tuple[float, float, int]:
        """Wait for its end and return when it began and ended, and how many jobs it had."""
        if self._process.wait():
            raise RuntimeError(f"{self.title} ended with code {self._process.returncode}:\n{self.output()}")
        began, ended, jobs = json.loads(self.output().splitlines()[-1])
        return began, ended, jobs


class BareDjango(Program):
    """A process that has set up Django with the benchmark's settings, and waits."""

    title = "the process with Django"

    def __init__(self) -> None:
        super().__init__(["-c", "import django; django.setup(); print('ready', flush=True); input()"])
