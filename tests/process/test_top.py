"""``jobs top`` in a real terminal: it redraws, obeys keys and signals, and leaves the terminal as it was."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import factories
from tests.concurrency import DEADLINE_SECONDS
from tests.databases import ROOT

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]
ENTER, LEAVE = "\x1b[?1049h", "\x1b[?1049l"
SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """The command under a pseudo-terminal, and all that it has written."""

    def __init__(self, environment: dict[str, str], *options: str, columns: int = 100, lines: int = 30) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.before = termios.tcgetattr(slave)
        self._slave = slave
        self.process = subprocess.Popen(
            [sys.executable, "-m", "django", "jobs", "top", "--interval", "0.1", *options],
            env={**environment, "TERM": "xterm-256color"},
            cwd=ROOT,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            preexec_fn=_take_terminal,  # noqa: PLW1509 - Ctrl-C goes to whom the terminal belongs
            start_new_session=True,
        )
        self.written = ""

    def wait_for(self, pattern: str) -> str:
        """Read until the frames since the last call match; return what was read."""
        seen = ""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not re.search(pattern, seen):
            left = deadline - time.monotonic()
            assert left > 0, f"nothing matches {pattern!r}: {seen[-3000:]!r}"
            if select.select([self._master], [], [], left)[0]:
                chunk = os.read(self._master, 65_536).decode("utf-8", "replace")
                seen += chunk
                self.written += chunk
        return seen

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def end(self) -> int:
        """Wait for the end; the terminal must be as it was."""
        self.wait_for(re.escape(LEAVE))
        code = self.process.wait(DEADLINE_SECONDS)
        assert termios.tcgetattr(self._slave) == self.before
        assert "Traceback" not in self.written
        return code

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)
        os.close(self._slave)


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    _obey_ctrl_c()


def _obey_ctrl_c() -> None:
    """Undo what a shell does to commands in the background: their Ctrl-C is ignored, by all that they start too."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def environment(worker_environment: dict[str, str], request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """The environment of a process with rich, or without it."""
    if request.param == "rich":
        return worker_environment
    (tmp_path / "rich.py").write_text("raise ImportError('rich is not installed')\n")
    path = os.pathsep.join(filter(None, [str(tmp_path), str(ROOT), worker_environment.get("PYTHONPATH")]))
    return {**worker_environment, "PYTHONPATH": path}


@pytest.fixture
def terminal(environment: dict[str, str]) -> Iterator[Terminal]:
    terminal = Terminal(environment)
    yield terminal
    terminal.close()


@pytest.mark.parametrize("environment", ["rich", "plain"], indirect=True)
def test_it_is_live_and_ends_by_q(terminal: Terminal, request: pytest.FixtureRequest) -> None:
    first = terminal.wait_for("No workers are running")
    assert first.startswith(ENTER)
    factories.make_worker(hostname="web-1", pid=7)
    factories.make_jobs(3, queue_name="mail")
    frame = terminal.wait_for(r"(?s)All is well: 1 worker is alive, waiting jobs: 3.*web-1:7.*\x1b\[J")
    last = frame.rpartition("\x1b[H")[2]
    lines = [SEQUENCE.sub("", line) for line in last.split("\r\n")]
    assert len(lines) <= 30
    assert max(map(len, lines)) <= 100
    is_rich = "rich" in request.node.name
    assert bool(re.search(r"\x1b\[[0-9;]+m", frame)) is is_rich
    terminal.press("q")
    assert terminal.end() == 0


@pytest.mark.parametrize("environment", ["plain"], indirect=True)
@pytest.mark.parametrize(("number", "code"), [(None, 0), (signal.SIGTERM, 143)])
def test_ctrl_c_and_sigterm_leave_the_terminal_as_it_was(
    terminal: Terminal, number: signal.Signals | None, code: int
) -> None:
    terminal.wait_for("No workers are running")
    if number is None:
        terminal.press("\x03")
    else:
        terminal.process.send_signal(number)
    assert terminal.end() == code


@pytest.mark.parametrize("environment", ["rich"], indirect=True)
def test_without_a_terminal_it_prints_a_block_each_time(environment: dict[str, str]) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "django", "jobs", "top", "--interval", "0.1"],
        env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
        preexec_fn=_obey_ctrl_c,  # noqa: PLW1509 - see there
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            seen = 0
            for line in process.stdout:
                assert "\x1b" not in line
                seen += "No workers are running" in line
                if seen == 3:
                    break
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=DEADLINE_SECONDS)
            assert (process.returncode, errors) == (0, "")
        finally:
            process.kill()
