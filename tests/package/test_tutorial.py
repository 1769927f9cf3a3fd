"""The tutorial, typed as it stands: its commands in a shell, its Python into the files that it names."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.concurrency import wait_until
from tests.databases import ROOT
from tests.docs.pages import blocks

pytestmark = [pytest.mark.slow, pytest.mark.one_version]
BLOCKS = blocks(ROOT / "docs" / "tutorial.md")
OF_THE_MACHINE = ("mkdir", "python3 -m venv", "pip install", ". .venv")
"""Commands that the fixture stands for: it has the built wheel, and the packages of the tests."""
SECONDS = 120


class Reader:
    """Somebody who types what the tutorial says, in a folder of their own."""

    def __init__(self, folder: Path, installed: Path) -> None:
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "PYTHON"))}
        self.folder = folder
        self.environment = {
            **ours,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{ours['PATH']}",
            "PYTHONPATH": str(installed),
            "PYTHONUNBUFFERED": "1",
            "DJANGO_SUPERUSER_USERNAME": "ada",
            "DJANGO_SUPERUSER_EMAIL": "ada@example.org",
            "DJANGO_SUPERUSER_PASSWORD": "a password of 20 letters",
        }
        self.running: list[subprocess.Popen[bytes]] = []

    def type(self, command: str) -> str:
        """Run a command to its end and return what it printed."""
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=self.folder,
            env=self.environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def leave_running(self, command: str, log: Path) -> None:
        """Start a command in another terminal."""
        with log.open("ab") as file:
            started = subprocess.Popen(
                ["sh", "-c", f"exec {command}"], cwd=self.folder, env=self.environment, stdout=file, stderr=file
            )
        self.running.append(started)

    def stop(self) -> None:
        """End what runs in the other terminals. By SIGTERM: SIGINT may be ignored, as in the background of a script."""
        for process in self.running:
            process.terminate()
        for process in self.running:
            process.wait(SECONDS)
        self.running.clear()

    def write(self, text: str) -> None:
        """Put a block of Python where its first line says."""
        where, _, code = text.partition("\n")
        name, _, place = where.removeprefix("# ").partition(", ")
        file = self.folder / name
        if place == "at the end":
            file.write_text(f"{file.read_text()}\n{code}")
        elif place == "instead of charge":
            file.write_text(file.read_text().partition("@job(max_attempts=2")[0] + code)
        else:
            file.write_text(code)


@pytest.fixture
def reader(wheel: Path, tmp_path: Path) -> Iterator[Reader]:
    installed, folder = tmp_path / "installed", tmp_path / "mysite"
    folder.mkdir()
    shutil.unpack_archive(wheel, installed, "zip")
    reader = Reader(folder, installed)
    try:
        yield reader
    finally:
        reader.stop()


def _lines_match(told: list[str], printed: str) -> None:
    """Assert that the lines of the page are printed in this order, but for times, ids and paths."""
    at = 0
    for line in (line for line in told if line != "..." and line.strip() != "..."):
        pattern = re.escape(line)
        pattern = re.sub(r"10:15:\d\d", r"\\d\\d:\\d\\d:\\d\\d", pattern)
        pattern = re.sub(r"\\\[47\d\d\\\]", r"\\[\\d+\\]", pattern).replace("/srv/mysite/", ".*/")
        found = re.compile(pattern, re.MULTILINE).search(printed, at)
        assert found, f"{line!r} is not in:\n{printed}"
        at = found.end()


class Walk:
    """One way through the page, with what the worker and the web server say."""

    def __init__(self, reader: Reader, logs: Path) -> None:
        self._reader, self._worker, self._web = reader, logs / "worker.log", logs / "web.log"
        self._endings: dict[str, Callable[[str], object]] = {
            " runworker": self._start_worker,
            " runserver": self._open_the_admin,
            " createsuperuser": lambda command: reader.type(f"{command} --noinput"),
            " --state dead": self._redrive,
            " shell": lambda command: None,  # the next block is typed into it
        }

    def console(self, text: str) -> None:
        """Type the commands of a block, and compare what the worker prints with what the page says."""
        commands = [line.removeprefix("$ ") for line in text.splitlines() if line.startswith("$ ")]
        for command in commands:
            if not command.startswith(OF_THE_MACHINE):
                ending = next((one for one in self._endings if command.endswith(one)), None)
                (self._endings[ending] if ending else self._reader.type)(command)
        self.text("\n".join(line for line in text.splitlines() if not line.startswith("$ ")))

    def python(self, text: str) -> None:
        """Write a file, or type into the shell."""
        if not text.startswith("# in the shell"):
            self._reader.write(text)
            return
        assert "Hello Ada" in self._reader.type(f"python manage.py shell <<'END'\n{text}\nEND")
        wait_until(lambda: "is dead" in self._worker.read_text(), "the payment to be dead", seconds=SECONDS)

    def text(self, text: str) -> None:
        """Compare with what the worker has said."""
        if text:
            _assert_lines(text.splitlines(), self._worker.read_text())

    def _start_worker(self, command: str) -> None:
        before = len(self._worker.read_text()) if self._worker.exists() else 0
        self._reader.leave_running(command, self._worker)
        wait_until(lambda: "ready: jobs" in self._worker.read_text()[before:], "the worker", seconds=SECONDS)

    def _open_the_admin(self, command: str) -> None:
        self._reader.leave_running(f"{command} --noreload 0", self._web)
        told = re.compile(r"development server at (http://\S+)")
        found = wait_until(lambda: told.search(self._web.read_text()), "the web server", seconds=SECONDS)
        with urllib.request.urlopen(f"{found[1]}admin/", timeout=SECONDS) as page:
            assert page.status == 200

    def _redrive(self, command: str) -> None:
        self._reader.stop()
        self._start_worker("python manage.py runworker")
        assert "1 job retried" in self._reader.type(command)
        listed = "python manage.py jobs list --name shop.jobs.charge --state succeeded"
        wait_until(lambda: "shop.jobs.charge" in self._reader.type(listed), "the payment", seconds=SECONDS)


def _assert_lines(told: list[str], printed: str) -> None:
    """Assert that the lines of the page are printed in this order, but for times, ids and paths."""
    at = 0
    for line in (line for line in told if line.strip() != "..."):
        pattern = re.sub(r"10:15:\d\d", r"\\d\\d:\\d\\d:\\d\\d", re.escape(line))
        pattern = re.sub(r"\\\[47\d\d\\\]", r"\\[\\d+\\]", pattern).replace("/srv/mysite/", ".*/")
        found = re.compile(pattern).search(printed, at)
        assert found, f"{line!r} is not in:\n{printed}"
        at = found.end()


def test_all_of_it_works_as_it_stands(reader: Reader, tmp_path: Path) -> None:
    walk = Walk(reader, tmp_path)
    for language, text in BLOCKS:
        getattr(walk, language)(text)
    assert "shop.jobs.open_shop" in reader.type("python manage.py jobs tick && python manage.py jobs schedules")
