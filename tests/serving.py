"""A real web server in a process of its own: Django's threaded WSGI server, or uvicorn for ASGI."""

from __future__ import annotations

import contextlib
import importlib.util
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from tests.databases import OUTPUT, ROOT
from tests.required import is_missing

START_SECONDS = 60
Interface = Literal["wsgi", "asgi"]


@contextmanager
def serving(
    interface: Interface,
    environment: dict[str, str],
    *,
    options: tuple[str, ...] = (),
    application: str = "testproject.asgi:application",
) -> Iterator[str]:
    """Serve the project of ``environment`` and yield its address.

    ``options`` are more of runserver's, ``application`` is what uvicorn runs.
    """
    if interface == "asgi" and importlib.util.find_spec("uvicorn") is None:
        is_missing("uvicorn (pip install --group test)")
    port = _free_port()
    log = OUTPUT / f"server-{interface}-{port}.log"
    with log.open("w") as output:
        server = subprocess.Popen(
            _command(interface, port, options, application),
            env=environment,
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_for_answer(server, port, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        try:
            server.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait(START_SECONDS)
    log.unlink(missing_ok=True)


def _command(interface: Interface, port: int, options: tuple[str, ...], application: str) -> list[str]:
    if interface == "wsgi":
        return [sys.executable, "-m", "django", "runserver", "--noreload", *options, f"127.0.0.1:{port}"]
    uvicorn = ["--port", str(port), "--lifespan", "off", "--timeout-graceful-shutdown", "2"]
    return [sys.executable, "-m", "uvicorn", application, *uvicorn]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for_answer(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
    raise AssertionError(f"the server does not answer:\n{log.read_text()}")
