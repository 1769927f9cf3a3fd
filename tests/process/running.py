"""A real worker in a process of its own, whose words a test can wait for."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from django_jobs.models import Job
from tests.concurrency import DEADLINE_SECONDS, wait_until
from tests.databases import ROOT


class RunningWorker:
    """``manage.py runworker`` with its standard error read line by line."""

    def __init__(
        self,
        environment: dict[str, str],
        *arguments: str,
        command: tuple[str, ...] = ("runworker",),
        before: tuple[str, ...] = (),
    ) -> None:
        self.lines: list[str] = []
        self._heard = threading.Condition()
        self._ended = False
        self.process = subprocess.Popen(
            [*before, sys.executable, "-m", "django", *command, *arguments],
            env=environment,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._heard:
                self.lines.append(line.rstrip("\n"))
                self._heard.notify_all()
        with self._heard:
            self._ended = True
            self._heard.notify_all()

    def wait_for_line(self, pattern: str, *, number: int = 1, seconds: float = DEADLINE_SECONDS) -> re.Match[str]:
        """Wait until ``number`` lines match ``pattern`` and return the last of these matches."""
        deadline = time.monotonic() + seconds
        with self._heard:
            while True:
                found = [match for line in self.lines if (match := re.search(pattern, line))]
                if len(found) >= number:
                    return found[number - 1]
                left = deadline - time.monotonic()
                if left <= 0 or self._ended:
                    raise AssertionError(f"no line matches {pattern!r}:\n{self.output}")
                self._heard.wait(left)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, seconds: float = DEADLINE_SECONDS) -> int:
        """Wait for the end and return the exit code. One that does not end shows what its threads wait for."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGABRT)
            self._reader.join(DEADLINE_SECONDS)
            raise AssertionError(f"the worker has not ended:\n{self.output}") from None
        self._reader.join(DEADLINE_SECONDS)
        return code

    def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """End the whole process group, whatever state it is in."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(DEADLINE_SECONDS)
        self._reader.join(DEADLINE_SECONDS)
        if self.process.stdout is not None:
            self.process.stdout.close()

    @property
    def output(self) -> str:
        return "\n".join(self.lines)


def wait_for_start(path: Path) -> int:
    """Wait until the job that waits for ``path`` runs and return its process id."""
    started = Path(f"{path}.started")
    return int(wait_until(lambda: started.exists() and started.read_text(), f"{started} to be written"))


def ended(*jobs: Job) -> list[str]:
    """Wait until all are in a final state and return their states."""
    return [job.wait(DEADLINE_SECONDS).state for job in jobs]


def outcomes(job: Job) -> list[str]:
    return list(job.attempts.order_by("claim_number").values_list("outcome", flat=True))
