"""Tell many listeners at once, without a thread for each."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from .partner import PartnerUnavailable

LISTENERS = ("warehouse", "accounting", "newsroom")


async def post_to_all(payload: dict[str, Any]) -> int:
    """Post ``payload`` to every listener at the same time and return how many there are.

    Raises PartnerUnavailable where one of them did not accept it.
    """
    body = json.dumps(payload).encode()
    async with asyncio.TaskGroup() as group:
        posts = {name: group.create_task(_post(f"/hooks/{name}", body)) for name in LISTENERS}
    refused = {name: post.result() for name, post in posts.items() if post.result() >= 300}
    if refused:
        raise PartnerUnavailable(f"not accepted by {refused}")
    return len(posts)


async def _post(path: str, body: bytes) -> int:
    """Return the status. Plain HTTP/1.0: enough for a listener next door, and no dependency."""
    address = urlsplit(settings.SHOP_PARTNERS_URL)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        head = f"POST {path} HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        status_line = await reader.readline()
        return int(status_line.split()[1])
    finally:
        writer.close()
        await writer.wait_closed()
