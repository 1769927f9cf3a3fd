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
from .negotiation import has_streams, prefers_html
from .polling import parse_wait, retry_after
from .problem_kinds import ProblemKind, problem_for_state
from .problems import CONTENT_TYPE, AsyncView, Problem, check_method, handle_problems_async
from .progress import progress_context
from .status_poller import StatusWaiter, poller
from .visible_job import VisibleJob, get_visible_job, job_gone_problem, release_connections, status_body


def outside_transactions(view: AsyncView) -> AsyncView:
    """Keep ATOMIC_REQUESTS, of whatever database, from holding a transaction open while the view waits."""
    for alias in connections:
        view = transaction.non_atomic_requests(using=alias)(view)
    return view


@outside_transactions
@handle_problems_async
async def status(request: HttpRequest, key: str) -> HttpResponseBase:
    """Answer what there is to know of a job.

    ``?wait=seconds`` answers as soon as there is news: another answer than the one that If-None-Match names, or,
    without that header, the job's end.
    """
    check_method(request, "GET", "HEAD")
    wait = _read_wait(request)
    visible_job = await sync_to_async(get_visible_job)(request, key)
    response = await sync_to_async(_answer)(request, visible_job)
    if wait and not _should_answer(request, visible_job, response):
        visible_job, response = await _wait_for_change(request, visible_job, response, seconds=wait)
    return _unless_unchanged(request, visible_job, response)


def _read_wait(request: HttpRequest) -> float:
    try:
        return parse_wait(request.GET.get("wait"), max_wait=get_settings().status_max_wait)
    except ValueError as error:
        raise Problem(ProblemKind.WRONG_WAIT, str(error)) from None


async def _wait_for_change(
    request: HttpRequest, visible_job: VisibleJob, response: HttpResponse, *, seconds: float
) -> tuple[VisibleJob, HttpResponse]:
    """Wait up to so long for news and return the last answer; at once where too many wait in this process."""
    deadline = time.monotonic() + seconds
    await sync_to_async(release_connections)()
    with StatusWaiter(visible_job.seen, holds_thread=not has_streams(request)) as watch:
        if not poller.join(watch):
            return visible_job, response
        while not _should_answer(request, visible_job, response):
            try:
                seen = await watch.next(deadline - time.monotonic())
            except TimeoutError:
                break
            if seen is None:
                raise job_gone_problem()
            visible_job = replace(visible_job, seen=seen)
            response = await sync_to_async(_answer)(request, visible_job)
            await sync_to_async(release_connections)()
    return visible_job, response


def _should_answer(request: HttpRequest, visible_job: VisibleJob, response: HttpResponse) -> bool:
    """Tell whether a client that waits is to have this answer now."""
    if visible_job.seen.is_final:
        return True
    known = request.headers.get("If-None-Match")
    return known is not None and response["ETag"] not in parse_etags(known)


def _answer(request: HttpRequest, visible_job: VisibleJob) -> HttpResponse:
    body = status_body(request, visible_job)
    response = _page(request, visible_job, body) if prefers_html(request) else _json(visible_job, body)
    response["ETag"] = f'"{hashlib.sha256(response.content).hexdigest()[:32]}"'
    response["Cache-Control"] = "private, no-cache"
    response["Referrer-Policy"] = "no-referrer"
    response["X-Robots-Tag"] = "noindex"
    patch_vary_headers(response, ["Accept"])
    return response


def _json(visible_job: VisibleJob, body: dict[str, Any]) -> HttpResponse:
    is_problem = problem_for_state(visible_job.seen.state) is not None
    return JsonResponse(body, content_type=CONTENT_TYPE if is_problem else "application/json")


def _page(request: HttpRequest, visible_job: VisibleJob, body: dict[str, Any]) -> HttpResponse:
    context = {
        **progress_context(
            request, visible_job.seen, key=visible_job.key.text, has_result=body["result"] is not None
        ),
        "error": body.get("detail"),
    }
    return render(request, "django_jobs/status.html", context)


def _unless_unchanged(
    request: HttpRequest, visible_job: VisibleJob, response: HttpResponse
) -> HttpResponseBase:
    conditional = get_conditional_response(request, etag=response["ETag"], response=response)
    answer: HttpResponseBase = response if conditional is None else conditional
    seconds = retry_after(visible_job.seen.state, age=visible_job.seen.age, due_in=visible_job.seen.due_in)
    if seconds is not None:
        answer["Retry-After"] = str(seconds)
    return answer
