"""The shop's partners, played by one local HTTP server: a carrier, a bank and some listeners.

The carrier answers 503 now and then: to an order's first call, first two calls or none, by its number, so
that every demo meets the same. The bank cannot charge one issuer's cards until it is mended.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any

from .ports import HOST

UNREACHABLE_CITY = "Null Island"
BROKEN_ISSUER = "4929"
MOST_REFUSALS = 2
SECONDS_ON_THE_WAY = 1.5
SECONDS_A_CALL = 0.2

Answer = tuple[HTTPStatus, dict[str, Any]]


class Partners:
    """What the partners were asked and what they said, and the server through which they say it."""

    def __init__(self) -> None:
        self.unavailable: Counter[int] = Counter()
        """How often the carrier answered 503, by order."""
        self.parcels: dict[str, dict[str, Any]] = {}
        """What the carrier has booked, by idempotency key."""
        self.charges: dict[str, dict[str, Any]] = {}
        """What the bank has charged, by idempotency key."""
        self.heard: Counter[tuple[str, int]] = Counter()
        """How often each listener heard of each order."""
        self.calls = 0
        self._fetched: dict[str, float] = {}
        self._is_bank_broken = True
        self._lock = Lock()
        self._server = _Server((HOST, 0), _handler_for(self))
        self._thread = Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._server.server_port}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def mend_bank(self) -> None:
        self._is_bank_broken = False

    def answer(self, path: str, body: dict[str, Any], key: str) -> Answer:
        """Answer one call. A repeated key gives the first answer again."""
        with self._lock:
            self.calls += 1
            match path.strip("/").split("/"):
                case ["carrier", "shipments"]:
                    return self._ship(body, key)
                case ["carrier", "tracking"]:
                    return self._track(body)
                case ["bank", "charges"]:
                    return self._charge(body, key)
                case ["hooks", listener]:
                    self.heard[listener, body["order"]] += 1
                    return HTTPStatus.ACCEPTED, {}
        return HTTPStatus.NOT_FOUND, {"error": f"nobody is at {path}"}

    def _ship(self, body: dict[str, Any], key: str) -> Answer:
        order = body["order"]
        if body["city"] == UNREACHABLE_CITY:
            return HTTPStatus.UNPROCESSABLE_ENTITY, {"error": "no such place"}
        if self.unavailable[order] < order % (MOST_REFUSALS + 1):
            self.unavailable[order] += 1
            return HTTPStatus.SERVICE_UNAVAILABLE, {"error": "too many parcels, try later"}
        number = f"PARCEL-{order:06}"
        self.parcels.setdefault(key, {**body, "tracking_number": number})
        self._fetched.setdefault(number, time.monotonic())
        return HTTPStatus.CREATED, {"tracking_number": number}

    def _track(self, body: dict[str, Any]) -> Answer:
        fetched = self._fetched.get(body["tracking_number"])
        if fetched is None:
            return HTTPStatus.NOT_FOUND, {"error": "no such parcel"}
        return HTTPStatus.OK, {"delivered": time.monotonic() - fetched >= SECONDS_ON_THE_WAY}

    def _charge(self, body: dict[str, Any], key: str) -> Answer:
        if self._is_bank_broken and body["card"].startswith(BROKEN_ISSUER):
            return HTTPStatus.BAD_GATEWAY, {"error": f"no line to the issuer of {BROKEN_ISSUER} cards"}
        charge = self.charges.setdefault(key, {**body, "receipt": f"RECEIPT-{body['order']:06}"})
        return HTTPStatus.CREATED, {"receipt": charge["receipt"]}


class _Server(ThreadingHTTPServer):
    request_queue_size = (
        128  # async jobs call all at once; five, the default, would make most of them wait a second
    )


def _handler_for(partners: Partners) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(length))
            time.sleep(SECONDS_A_CALL)
            status, said = partners.answer(self.path, body, self.headers.get("Idempotency-Key", ""))
            content = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: object) -> None:
            """Keep silent; the demo has its own display."""

    return Handler
