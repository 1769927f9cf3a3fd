"""The shop's partners, played by one local HTTP server: a carrier, a bank and some listeners.

The carrier answers 503 now and then: to an order's first call, first two calls or none, by its number, so
that every demo meets the same. It allows ten calls a second and answers 429 to more, and, as if somebody else
had used them up, when it is first asked about some of the parcels. The bank cannot charge one issuer's cards until
it is mended.
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
CARRIER_CALLS_A_SECOND = 10
RETRY_AFTER_SECONDS = 1
BUSY_EVERY = 4
"""Of so many parcels the carrier is busy when it is first asked about one, beginning with the first parcel."""

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
        self.carrier_called_at: list[float] = []
        """When each call to the carrier arrived, in seconds by a clock that only goes forward."""
        self.busy = 0
        """How often the carrier answered 429."""
        self.on_the_way = 0
        """How often the carrier said that a parcel has not arrived yet."""
        self.calls = 0
        self._fetched: dict[str, float] = {}
        self._asked_about: set[str] = set()
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

    def answer(self, path: str, body: dict[str, Any], key: str, *, arrived_at: float) -> Answer:
        """Answer one call. A repeated key gives the first answer again."""
        with self._lock:
            self.calls += 1
            match path.strip("/").split("/"):
                case ["carrier", what]:
                    return self._carry(what, body, key, arrived_at)
                case ["bank", "charges"]:
                    return self._charge(body, key)
                case ["hooks", listener]:
                    self.heard[listener, body["order"]] += 1
                    return HTTPStatus.ACCEPTED, {}
        return HTTPStatus.NOT_FOUND, {"error": f"nobody is at {path}"}

    def _carry(self, what: str, body: dict[str, Any], key: str, arrived_at: float) -> Answer:
        lately = sum(1 for at in self.carrier_called_at if abs(arrived_at - at) < 1)
        self.carrier_called_at.append(arrived_at)
        if lately >= CARRIER_CALLS_A_SECOND or (what == "tracking" and self._is_busy(body)):
            self.busy += 1
            return HTTPStatus.TOO_MANY_REQUESTS, {"error": "too many calls"}
        return self._track(body) if what == "tracking" else self._ship(body, key)

    def _is_busy(self, body: dict[str, Any]) -> bool:
        number = body["tracking_number"]
        is_first = number not in self._asked_about
        self._asked_about.add(number)
        return is_first and int(number.rpartition("-")[2]) % BUSY_EVERY == 1

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
        is_delivered = time.monotonic() - fetched >= SECONDS_ON_THE_WAY
        self.on_the_way += not is_delivered
        return HTTPStatus.OK, {"delivered": is_delivered}

    def _charge(self, body: dict[str, Any], key: str) -> Answer:
        if self._is_bank_broken and body["card"].startswith(BROKEN_ISSUER):
            return HTTPStatus.BAD_GATEWAY, {"error": f"no line to the issuer of {BROKEN_ISSUER} cards"}
        charge = self.charges.setdefault(key, {**body, "receipt": f"RECEIPT-{body['order']:06}"})
        return HTTPStatus.CREATED, {"receipt": charge["receipt"]}


class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # async jobs call all at once; five, the default, would make most of them wait a second


def _handler_for(partners: Partners) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            arrived_at = time.monotonic()
            length = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(length))
            time.sleep(SECONDS_A_CALL)
            key = self.headers.get("Idempotency-Key", "")
            status, said = partners.answer(self.path, body, key, arrived_at=arrived_at)
            content = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            if status is HTTPStatus.TOO_MANY_REQUESTS:
                self.send_header("Retry-After", str(RETRY_AFTER_SECONDS))
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: object) -> None:
            """Keep silent; the demo has its own display."""

    return Handler
