"""A local server that takes envelopes as Sentry's does, and keeps what is in them."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.http_server import serve


class Received:
    """The items of all envelopes: their type, and their payload as JSON."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._items: list[tuple[str, Any]] = []
        self.dsn = ""

    def take(self, body: bytes) -> None:
        """Take an envelope: a header, and for each item a header and a payload, a line each."""
        lines = body.split(b"\n")[1:]
        found = []
        while len(lines) > 1:
            header = json.loads(lines.pop(0))
            found.append((header["type"], json.loads(lines.pop(0))))
        with self._lock:
            self._items += found

    def of(self, kind: str) -> list[Any]:
        """Return the payloads of one type of items: event, transaction or check_in."""
        with self._lock:
            return [payload for found, payload in self._items if found == kind]

    @property
    def text(self) -> str:
        """All that has come, to look for what must not."""
        with self._lock:
            return json.dumps(self._items)


@contextmanager
def endpoint() -> Iterator[Received]:
    received = Received()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.take(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    with serve(Handler) as address:
        received.dsn = address.replace("http://", "http://key@") + "1"
        yield received
