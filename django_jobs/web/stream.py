"""The stream of a job's changes as server-sent events, under ASGI.

::

    id: 5d41402abc4b2a76        version of the answer; a client that reconnects sends the last it has
    event: status
    data: {"state": "running", "progress": {"done": 3, ...}, ...}

    : still here                every 15 s, so that no proxy takes the silence for a dead connection

    event: end                  nothing more comes; do not reconnect
    data: {}

A stream ends without ``end`` after five minutes, so that permissions are checked again; browsers reconnect by
themselves. A client that reconnects with the last version of an ended job gets 204, which ends the stream as well.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse

from .negotiation import has_streams
from .problem_kinds import ProblemKind
from .problems import Problem, check_method, handle_problems_async
from .status import outside_transactions
from .status_poller import StatusWaiter, poller
from .visible_job import VisibleJob, get_visible_job, release_connections, status_body

HEARTBEAT_SECONDS = 15.0
MAX_STREAM_SECONDS = 300.0
RECONNECT_MS = 2_000


@outside_transactions
@handle_problems_async
async def events(request: HttpRequest, key: str) -> HttpResponseBase:
    """Stream the job's status, at once and at every change, until the job ends."""
    check_method(request, "GET")
    if not has_streams(request):
        raise Problem(
            ProblemKind.NEEDS_ASGI,
            "event streams need ASGI, because under WSGI each would hold a thread; use ?wait= on the status page",
        )
    if not poller.has_capacity(holds_thread=False):
        raise Problem(
            ProblemKind.TOO_MANY_STREAMS,
            "this process has as many waiting clients as STATUS['MAX_WAITERS'] allows; use the status page",
            headers={"Retry-After": "5"},
        )
    visible_job = await sync_to_async(get_visible_job)(request, key)
    body = await sync_to_async(_describe_and_release)(request, visible_job)
    known = request.headers.get("Last-Event-ID")
    if visible_job.status.is_final and known == _version(body):
        return HttpResponse(status=204)
    return StreamingHttpResponse(
        _changes(request, visible_job, body, known=known),
        content_type="text/event-stream",
        headers={
            "Cache-Control": "no-cache, no-transform",
            "X-Accel-Buffering": "no",  # nginx would buffer the events
        },
    )


async def _changes(
    request: HttpRequest, visible_job: VisibleJob, body: dict[str, Any], *, known: str | None
) -> AsyncIterator[str]:
    deadline = time.monotonic() + MAX_STREAM_SECONDS
    yield f"retry: {RECONNECT_MS}\n\n"
    with StatusWaiter(visible_job.status, holds_thread=False) as waiter:
        if not poller.join(waiter):
            return
        if _version(body) != known:
            yield _event(body)
        while not visible_job.status.is_final:
            left = deadline - time.monotonic()
            if left <= 0:
                return
            try:
                changed = await waiter.next(min(HEARTBEAT_SECONDS, left))
            except TimeoutError:
                yield ": still here\n\n"
                continue
            if changed is None:
                break
            visible_job = replace(visible_job, status=changed)
            yield _event(await sync_to_async(_describe_and_release)(request, visible_job))
    yield "event: end\ndata: {}\n\n"


def _describe_and_release(request: HttpRequest, visible_job: VisibleJob) -> dict[str, Any]:
    try:
        return status_body(request, visible_job)
    finally:
        release_connections()


def _event(body: dict[str, Any]) -> str:
    return f"id: {_version(body)}\nevent: status\ndata: {json.dumps(body)}\n\n"


def _version(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]
