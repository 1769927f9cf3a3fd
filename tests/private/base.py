"""One program that listens on a port of its own, in a folder of its own, as a user that may run it."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from tests.concurrency import wait_until

STOP_SECONDS = 60

S = TypeVar("S", bound="PrivateServer")


class PrivateServer:
    """A server that a test starts, stops and kills. ``user`` runs it where the tests are root.

    A vendor's server says how its folder is made (``_make``), what starts it (``_command``) and who asks it for
    a word (``answers``).
    """

    user: str
    START_SECONDS = 60
    FAST, IMMEDIATE = signal.SIGTERM, signal.SIGTERM

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="django_jobs_"))
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        if os.geteuid() == 0:
            shutil.chown(self.folder, self.user, pwd.getpwnam(self.user).pw_gid)
        try:
            self._make()
        except BaseException:
            self.remove()
            raise

    def settings(self) -> dict[str, str]:
        """Return HOST, PORT, USER and PASSWORD."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Tell whether it takes connections now."""
        raise NotImplementedError

    def create_database(self, name: str) -> None:
        """Make an empty database."""
        raise NotImplementedError

    def start(self) -> None:
        """Start and wait until it answers."""
        log = (self.folder / "server.log").open("ab")
        with log:
            self._process = subprocess.Popen(
                self._command(),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=self.folder,
                **self._as_user(),
            )
        process = self._process

        def is_up() -> bool:
            if process.poll() is not None:
                raise AssertionError(f"the server ended by itself:\n{(self.folder / 'server.log').read_text()}")
            return self.answers()

        wait_until(is_up, f"a server at port {self.port}", seconds=self.START_SECONDS)

    def stop(self, *, immediately: bool = False) -> None:
        """Shut it down, by default in the good order that does not wait for clients, and wait for the end."""
        self._end(self.IMMEDIATE if immediately else self.FAST)

    def crash(self) -> None:
        """Kill it and all its processes, as a loss of power does to what runs."""
        self._end(signal.SIGKILL)

    def remove(self) -> None:
        """Kill what runs and delete the folder."""
        if self._process is not None:
            self.crash()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait(STOP_SECONDS)
        self._process = None

    def _make(self) -> None:
        raise NotImplementedError

    def _command(self) -> Sequence[str]:
        raise NotImplementedError

    def _run(self, *command: str) -> None:
        done = subprocess.run(command, cwd=self.folder, check=False, capture_output=True, text=True, **self._as_user())
        assert done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}"

    def _as_user(self) -> dict[str, Any]:
        if os.geteuid() != 0:
            return {}
        return {"user": self.user, "group": pwd.getpwnam(self.user).pw_gid, "extra_groups": []}


@contextmanager
def running(server: S) -> Iterator[S]:
    """Start a server, and remove it at the end of the block."""
    try:
        server.start()
        yield server
    finally:
        server.remove()


def find_program(name: str, *folders: str) -> str | None:
    """Return where a program is: in PATH, in a folder for root's programs, or in the newest of ``folders``."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    places = sorted((path for pattern in folders for path in Path("/").glob(pattern)), key=_by_version)
    return found or next((str(path / name) for path in reversed(places) if (path / name).exists()), None)


def _by_version(path: Path) -> list[int]:
    return [int(part) for part in path.parts if part.isdecimal()]


def free_port() -> int:
    """Return a port of 127.0.0.1 at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])
