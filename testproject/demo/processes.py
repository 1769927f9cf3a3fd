"""The shop's own processes: worker and web server, each started by ``manage.py`` as in real life."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

from .errors import DemoFailed

MANAGE = Path(__file__).resolve().parent.parent / "manage.py"
TAIL_LINES = 15


class Process:
    """One command of ``manage.py`` at work, with what it says in a log file."""

    def __init__(self, *command: str, log: Path) -> None:
        self.title = f"manage.py {' '.join(command)}"
        self.log = log
        with log.open("a") as file:
            # A session of its own: Ctrl-C reaches the demo alone, which then stops its processes in order.
            self._process = subprocess.Popen(
                [sys.executable, str(MANAGE), *command],
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

    def stop(self, *, seconds: float = 20) -> int:
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
