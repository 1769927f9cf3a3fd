"""A server that jobs call, and that keeps its own record: when, for which key, by how many at once."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WORK_SECONDS = 0.05


class Partner(ThreadingHTTPServer):
    """Answers any path with 200 after a while; the path is the key. ``refuse`` has a key's next calls answered 429."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.called_at: dict[str, list[float]] = defaultdict(list)
        self.refused_at: dict[str, list[float]] = defaultdict(list)
        self.bodies: dict[str, list[str]] = defaultdict(list)
        self.most_at_once: dict[str, int] = defaultdict(int)
        self.refuse: dict[str, int] = defaultdict(int)
        self._at_once: dict[str, int] = defaultdict(int)
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def came(self, key: str, body: str) -> bool:
        """Record a call and tell whether it is refused."""
        with self._lock:
            self.called_at[key].append(time.monotonic())
            self.bodies[key].append(body)
            self._at_once[key] += 1
            self.most_at_once[key] = max(self.most_at_once[key], self._at_once[key])
            refused = self.refuse[key] > 0
            if refused:
                self.refuse[key] -= 1
                self.refused_at[key].append(time.monotonic())
            return refused

    def went(self, key: str) -> None:
        with self._lock:
            self._at_once[key] -= 1

    def most_within(self, key: str, seconds: float) -> int:
        """Return the most calls of a key in any span of so many seconds."""
        calls = sorted(self.called_at[key])
        return max(sum(first <= one < first + seconds for one in calls) for first in calls)


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        partner = self.server
        assert isinstance(partner, Partner)
        key = self.path.strip("/")
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        refused = partner.came(key, body)
        self._work_or_notice_that_the_caller_is_gone()
        # Before the answer: who hears it may start the next call at once.
        partner.went(key)
        try:
            self.send_response(429 if refused else 200)
            self.end_headers()
        except OSError:
            return

    def _work_or_notice_that_the_caller_is_gone(self) -> None:
        self.connection.settimeout(WORK_SECONDS)
        try:
            self.connection.recv(1)
        except (TimeoutError, OSError):
            return
        finally:
            self.connection.settimeout(None)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def open_partner() -> Iterator[Partner]:
    partner = Partner()
    thread = threading.Thread(target=partner.serve_forever, daemon=True)
    thread.start()
    try:
        yield partner
    finally:
        partner.shutdown()
        partner.server_close()
        thread.join()
