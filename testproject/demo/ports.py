"""Find out which ports are free, and wait until a server listens."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from .errors import DemoFailed

HOST = "127.0.0.1"


def free_port(preferred: int = 0) -> int:
    """Return ``preferred`` where it is free, otherwise any port that is."""
    for port in (preferred, 0):
        with socket.socket() as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                server.bind((HOST, port))
            except OSError:
                continue
            return int(server.getsockname()[1])
    raise DemoFailed(f"no port is free on {HOST}")


def wait_until_listening(port: int, *, check: Callable[[], None], seconds: float = 30) -> None:
    """Wait until something listens; ``check`` raises where it never will."""
    deadline = time.monotonic() + seconds
    while True:
        check()
        try:
            socket.create_connection((HOST, port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise DemoFailed(f"nothing listens on {HOST}:{port} after {seconds:.0f} s") from None
            time.sleep(0.05)
        else:
            return
