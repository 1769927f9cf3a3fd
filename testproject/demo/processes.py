"""The shop's own processes: worker and web server, each started as in real life."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from .errors import DemoFailed

MANAGE = (str(Path(__file__).resolve().parent.parent / "manage.py"),)
TAIL_LINES = 15


class Process:
    """One command of ``manage.py``, or of another ``program`` of Python's, with what it says in a log file."""

    def __init__(self, *command: str, log: Path, program: tuple[str, ...] = MANAGE) -> None:
        self.title = f"{Path(program[-1]).name} {' '.join(command)}"
        self.log = log
        with log.open("a") as file:
            # A session of its own: Ctrl-C reaches the demo alone, which then stops its processes in order.
            self._process = subprocess.Popen(
                [sys.executable, *program, *command],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                start_new_session=True,
            )

    def check(self) -> None:
        """Raise DemoFailed, with the end of the log, where the process has ended by itself."""
        code = self._process.poll()
        if code is not None:
            raise DemoFailed(f"{self.title} ended with code {code}. {self.last_words()}")

    def wait_for_words(self, pattern: str, *, seconds: float = 60) -> re.Match[str]:
        """Wait until the log has what ``pattern`` matches and return the match. Raises DemoFailed."""
        deadline = time.monotonic() + seconds
        while not (found := re.search(pattern, self.log.read_text(errors="replace"))):
            self.check()
            if time.monotonic() > deadline:
                raise DemoFailed(f"{self.title} has not started after {seconds:.0f} s. {self.last_words()}")
            time.sleep(0.05)
        return found

    def stop(self, *, seconds: float = 60) -> int:
        """Ask the process to stop, kill it where it does not, and return its exit code."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> int:
        """Kill the process and its children and return its exit code."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        return self._process.wait()

    def last_words(self) -> str:
        """Return where the log is and how it ends."""
        lines = self.log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
        return "\n".join([f"Its log, {self.log}, ends with:", *(f"    {line}" for line in lines)])
