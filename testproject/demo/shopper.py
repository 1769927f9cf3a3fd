"""Buy in the shop as customers do: over HTTP, with a clock in hand."""

from __future__ import annotations

import http.client
import json
import time
from dataclasses import dataclass
from typing import Any

from .errors import DemoFailed
from .partners import BROKEN_ISSUER
from .ports import HOST
from .samples import PEOPLE, PRODUCTS, SOLD_OUT

GOOD_CARD = "4000 0000 0000 0002"
UNLUCKY_CARD = f"{BROKEN_ISSUER} 0000 0000 0005"
UNLUCKY_ORDER = 1
"""The second order is paid by a card that the bank cannot charge at first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the shop answered, and how long that took."""

    status: int
    body: dict[str, Any]
    seconds: float


class Shopper:
    """Sends requests to the shop's web server, one after another."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.replies: list[Reply] = []

    def get_home(self) -> None:
        """Open the shop's page; the first request also makes the server load its code."""
        connection = http.client.HTTPConnection(HOST, self._port, timeout=30)
        connection.request("GET", "/")
        response = connection.getresponse()
        response.read()
        connection.close()
        if response.status != 200:
            raise DemoFailed(f"GET / was answered with {response.status}")

    def post(self, path: str, body: object, *, request_id: str = "") -> Reply:
        """Post ``body`` as JSON and keep the reply."""
        connection = http.client.HTTPConnection(HOST, self._port, timeout=30)
        began = time.perf_counter()
        connection.request(
            "POST",
            path,
            json.dumps(body),
            {"Content-Type": "application/json", **({"X-Request-ID": request_id} if request_id else {})},
        )
        response = connection.getresponse()
        content = response.read()
        seconds = time.perf_counter() - began
        connection.close()
        try:
            read = json.loads(content)
        except ValueError:
            raise DemoFailed(f"POST {path} was answered with {response.status} and no JSON") from None
        reply = Reply(status=response.status, body=read, seconds=seconds)
        self.replies.append(reply)
        return reply

    def order(self, at: int) -> Reply:
        """Place order number ``at`` (from 0) of the demo. Raises DemoFailed where it is not accepted."""
        skus = [sku for sku, *_ in PRODUCTS if sku != SOLD_OUT]
        reply = self.post(
            "/orders/",
            {
                "customer": _email(at),
                "card": UNLUCKY_CARD if at == UNLUCKY_ORDER else GOOD_CARD,
                "lines": [
                    {"sku": skus[at % len(skus)], "quantity": 1 + at % 3},
                    {"sku": skus[(at + 1) % len(skus)], "quantity": 1},
                ],
            },
        )
        _expect(reply, 202, f"order {at + 1}")
        return reply

    def order_sold_out(self, request_id: str) -> Reply:
        """Order what is not in stock: the shop has to refuse it."""
        lines = [{"sku": SOLD_OUT, "quantity": 1}]
        body = {"customer": _email(0), "card": GOOD_CARD, "lines": lines}
        reply = self.post("/orders/", body, request_id=request_id)
        _expect(reply, 409, "the order of what is sold out")
        return reply

    def ask_twice_for_a_receipt(self) -> None:
        """Press "send me the receipt" of the first order twice, impatiently: it has been mailed already."""
        order = next(reply.body["order"] for reply in self.replies if reply.status == 202 and "order" in reply.body)
        for _ in range(2):
            reply = self.post(f"/orders/{order}/receipt/", {})
            _expect(reply, 202, "the wish for a receipt")
            if not reply.body["is_on_its_way"]:
                raise DemoFailed(f"order {order} has another receipt mailed: {reply.body}")

    def export_orders(self) -> Reply:
        """Have all orders exported, as a program of the accountants does."""
        reply = self.post("/export/", {})
        _expect(reply, 202, "the export")
        return reply

    def get(self, path: str) -> dict[str, Any]:
        """Return the JSON that is at this address."""
        connection = http.client.HTTPConnection(HOST, self._port, timeout=30)
        connection.request("GET", path)
        response = connection.getresponse()
        content = response.read()
        connection.close()
        if response.status != 200:
            raise DemoFailed(f"GET {path} was answered with {response.status}: {content!r}")
        read: dict[str, Any] = json.loads(content)
        return read

    def resize_pictures(self) -> Reply:
        reply = self.post("/pictures/resize/", {})
        _expect(reply, 202, "the resizing of pictures")
        return reply


def _email(at: int) -> str:
    return f"{PEOPLE[at % len(PEOPLE)][0].split()[0].lower()}@example.org"


def _expect(reply: Reply, status: int, what: str) -> None:
    if reply.status != status:
        raise DemoFailed(f"{what} was answered with {reply.status} instead of {status}: {reply.body}")
