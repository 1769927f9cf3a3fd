"""The status page of a job: JSON or HTML, with ETag, and long polling by ``?wait=seconds``.

Asynchronous under ASGI; under WSGI Django runs it in the request's thread. In both no database connection is
held while it waits: the process's one watcher looks for all.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import replace
from typing import Any

from asgiref.sync import sync_to_async
from django.db import connections, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import render
from django.utils.cache import get_conditional_response, patch_vary_headers
from django.utils.http import parse_etags

from ..conf import get_settings
from ..policy.http_problems import Kind
from ..policy.status import problem_of, read_wait, retry_after
from .negotiation import has_streams, prefers_html
from .problems import CONTENT_TYPE, AsyncView, Problem, answering_problems_async, check_method
from .progress import progress_context
from .status_poller import Watch, watcher
from .visible_job import Sight, describe, job_gone, look, release_connections


def outside_transactions(view: AsyncView) -> AsyncView:
    """Keep ATOMIC_REQUESTS, of whatever database, from holding a transaction open while the view waits."""
    for alias in connections:
        view = transaction.non_atomic_requests(using=alias)(view)
    return view


@outside_transactions
@answering_problems_async
async def status(request: HttpRequest, key: str) -> HttpResponseBase:
    """Answer what there is to know of a job.

    ``?wait=seconds`` answers as soon as there is news: another answer than the one that If-None-Match names, or,
    without that header, the job's end.
    """
    check_method(request, "GET", "HEAD")
    wait = _read_wait(request)
    sight = await sync_to_async(look)(request, key)
    response = await sync_to_async(_answer)(request, sight)
    if wait and not _is_news(request, sight, response):
        sight, response = await _wait_for_news(request, sight, response, seconds=wait)
    return _unless_unchanged(request, sight, response)


def _read_wait(request: HttpRequest) -> float:
    try:
        return read_wait(request.GET.get("wait"), at_most=get_settings().status_max_wait)
    except ValueError as error:
        raise Problem(Kind.WRONG_WAIT, str(error)) from None


async def _wait_for_news(
    request: HttpRequest, sight: Sight, response: HttpResponse, *, seconds: float
) -> tuple[Sight, HttpResponse]:
    """Wait up to so long for news and return the last answer; at once where too many wait in this process."""
    deadline = time.monotonic() + seconds
    await sync_to_async(release_connections)()
    with Watch(sight.seen, holds_thread=not has_streams(request)) as watch:
        if not watcher.join(watch):
            return sight, response
        while not _is_news(request, sight, response):
            try:
                seen = await watch.next(deadline - time.monotonic())
            except TimeoutError:
                break
            if seen is None:
                raise job_gone()
            sight = replace(sight, seen=seen)
            response = await sync_to_async(_answer)(request, sight)
            await sync_to_async(release_connections)()
    return sight, response


def _is_news(request: HttpRequest, sight: Sight, response: HttpResponse) -> bool:
    """Tell whether a client that waits is to have this answer now."""
    if sight.seen.is_final:
        return True
    known = request.headers.get("If-None-Match")
    return known is not None and response["ETag"] not in parse_etags(known)


def _answer(request: HttpRequest, sight: Sight) -> HttpResponse:
    body = describe(request, sight)
    response = _page(request, sight, body) if prefers_html(request) else _json(sight, body)
    response["ETag"] = f'"{hashlib.sha256(response.content).hexdigest()[:32]}"'
    response["Cache-Control"] = "private, no-cache"
    response["Referrer-Policy"] = "no-referrer"
    response["X-Robots-Tag"] = "noindex"
    patch_vary_headers(response, ["Accept"])
    return response


def _json(sight: Sight, body: dict[str, Any]) -> HttpResponse:
    is_problem = problem_of(sight.seen.state) is not None
    return JsonResponse(body, content_type=CONTENT_TYPE if is_problem else "application/json")


def _page(request: HttpRequest, sight: Sight, body: dict[str, Any]) -> HttpResponse:
    context = {
        **progress_context(request, sight.seen, key=sight.key.text, has_result=body["result"] is not None),
        "error": body.get("detail"),
    }
    return render(request, "django_jobs/status.html", context)


def _unless_unchanged(request: HttpRequest, sight: Sight, response: HttpResponse) -> HttpResponseBase:
    conditional = get_conditional_response(request, etag=response["ETag"], response=response)
    answer: HttpResponseBase = response if conditional is None else conditional
    seconds = retry_after(sight.seen.state, age=sight.seen.age, due_in=sight.seen.due_in)
    if seconds is not None:
        answer["Retry-After"] = str(seconds)
    return answer
