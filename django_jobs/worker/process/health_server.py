"""Answer ``/live`` and ``/ready`` over HTTP, for orchestrators that restart this worker or wait for it."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ...exceptions import ConfigurationError
from ...policy.health import Health
from .health_pages import HealthPage

logger = logging.getLogger("django_jobs.worker")

CLIENT_TIMEOUT_SECONDS = 5.0
"""How long a client may take to send the next part of its request."""
RESTART_DELAY_SECONDS = 1.0
MAX_CLIENTS = 32
"""Clients served at once. A further one disconnects the oldest: answers take milliseconds, so that one hangs."""
ACCEPT_RETRY_SECONDS = 0.1


class HealthServer:
    """Serves in threads of its own. Raises ConfigurationError if the port is taken.

    Status 200 or 503, with a body such as ``{"ok": false, "reasons": ["..."]}``; and the ``pages`` of other packages.
    """

    def __init__(self, address: str, port: int, judge: Callable[[], Health], pages: Sequence[HealthPage] = ()) -> None:
        try:
            self._server = _Server(address, port, judge, {page.path: page for page in pages})
        except OSError as error:
            raise ConfigurationError(
                f"--health-port: expected a free port at {address}, got {port}: {error.strerror or error};"
                " choose another, or 0 for any"
            ) from error
        self._closed = threading.Event()
        host = f"[{address}]" if ":" in address else address
        self.url = f"http://{host}:{self._server.server_port}"

    def start(self) -> None:
        """Start to answer."""
        threading.Thread(target=self._serve, name="jobs-health", daemon=True).start()

    def close(self) -> None:
        """Stop answering and free the port. Only after ``start``."""
        self._closed.set()
        self._server.shutdown()
        self._server.server_close()

    def _serve(self) -> None:
        """Serve, and restart after an engine error: it is no reason to stop running jobs."""
        while not self._closed.is_set():
            try:
                self._server.serve_forever()
            except Exception:
                logger.critical("the health server died; restarting it", exc_info=True)
                self._closed.wait(RESTART_DELAY_SECONDS)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = MAX_CLIENTS

    def __init__(self, address: str, port: int, judge: Callable[[], Health], pages: Mapping[str, HealthPage]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.judge = judge
        self.pages = pages
        self._clients: dict[socket.socket, None] = {}
        self._clients_lock = threading.Lock()
        super().__init__((address, port), _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a client; pause if there is no descriptor for it, because the next attempt would come at once."""
        try:
            return super().get_request()
        except OSError:
            time.sleep(ACCEPT_RETRY_SECONDS)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread, of at most ``MAX_CLIENTS`` at once."""
        with self._clients_lock:
            self._clients[request] = None
            oldest = next(iter(self._clients)) if len(self._clients) > MAX_CLIENTS else None
            if oldest is not None:
                del self._clients[oldest]
                with suppress(OSError):
                    oldest.shutdown(socket.SHUT_RDWR)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget a client and close its connection."""
        with self._clients_lock:
            self._clients.pop(request, None)
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log a client that disconnected at debug level."""
        logger.debug("a health request of %s failed", client_address)


class _Handler(BaseHTTPRequestHandler):
    timeout = CLIENT_TIMEOUT_SECONDS
    server: _Server
    server_version = "django_jobs"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer with the reasons, with another package's page, or 404 for any other path."""
        path = self.path.partition("?")[0]
        if (page := self.server.pages.get(path)) is not None:
            return self._answer_page(page)
        health = self.server.judge()
        reasons = {"/live": health.not_live, "/ready": health.not_ready}.get(path)
        if reasons is None:
            paths = " or ".join(["/live", "/ready", *self.server.pages])
            self._answer(HTTPStatus.NOT_FOUND, {"ok": False, "reasons": [f"expected the path {paths}"]})
        else:
            status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
            degraded = {"degraded": health.degraded} if health.degraded else {}
            self._answer(status, {"ok": not reasons, "reasons": reasons} | degraded)
        return None

    do_HEAD = do_GET  # noqa: N815 - the base class looks for this name

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Log at debug level: probes come every few seconds."""
        logger.debug("health: " + format, *args)  # noqa: G003 - as above

    def _answer_page(self, page: HealthPage) -> None:
        try:
            content, content_type = page.render()
        except Exception:
            logger.exception("%s could not be rendered", page.path)
            reason = f"{page.path} could not be rendered; the log of this runworker tells why"
            self._answer(HTTPStatus.INTERNAL_SERVER_ERROR, {"ok": False, "reasons": [reason]})
        else:
            self._send(HTTPStatus.OK, content, content_type)

    def _answer(self, status: HTTPStatus, body: dict[str, Any]) -> None:
        self._send(status, json.dumps(body).encode(), "application/json")

    def _send(self, status: HTTPStatus, content: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
