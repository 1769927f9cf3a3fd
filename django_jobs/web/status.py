"""The status page of a job: JSON or HTML, with ETag and long polling by ``?wait=seconds``.

Asynchronous under ASGI; under WSGI Django runs it in the request's thread. Neither holds a database connection
while it waits: one poller a process reads for all clients.
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
    """Exempt the view from ATOMIC_REQUESTS of all databases: no transaction may stay open while it waits."""
    for alias in connections:
        view = transaction.non_atomic_requests(using=alias)(view)
    return view


@outside_transactions
@handle_problems_async
async def status(request: HttpRequest, key: str) -> HttpResponseBase:
    """Answer the status of a job.

    ``?wait=seconds`` answers as soon as the status differs from the one that If-None-Match names or, without
    that header, as soon as the job ends.
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
        return parse_wait(request.GET.get("wait"), max_wait=get_settings().status.max_wait)
    except ValueError as error:
        raise Problem(ProblemKind.WRONG_WAIT, str(error)) from None


async def _wait_for_change(
    request: HttpRequest, visible_job: VisibleJob, response: HttpResponse, *, seconds: float
) -> tuple[VisibleJob, HttpResponse]:
    """Wait up to ``seconds`` for a change and return the last answer; at once if too many clients wait already."""
    deadline = time.monotonic() + seconds
    await sync_to_async(release_connections)()
    with StatusWaiter(visible_job.status, holds_thread=not has_streams(request)) as waiter:
        if not poller.join(waiter):
            return visible_job, response
        while not _should_answer(request, visible_job, response):
            try:
                changed = await waiter.next(deadline - time.monotonic())
            except TimeoutError:
                break
            if changed is None:
                raise job_gone_problem()
            visible_job = replace(visible_job, status=changed)
            response = await sync_to_async(_answer)(request, visible_job)
            await sync_to_async(release_connections)()
    return visible_job, response


def _should_answer(request: HttpRequest, visible_job: VisibleJob, response: HttpResponse) -> bool:
    """Tell whether a waiting client should get this answer now."""
    if visible_job.status.is_final:
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
    is_problem = problem_for_state(visible_job.status.state) is not None
    return JsonResponse(body, content_type=CONTENT_TYPE if is_problem else "application/json")


def _page(request: HttpRequest, visible_job: VisibleJob, body: dict[str, Any]) -> HttpResponse:
    context = {
        **progress_context(
            request, visible_job.status, key=visible_job.key.text, has_result=body["result"] is not None
        ),
        "error": body.get("detail"),
    }
    return render(request, "django_jobs/status.html", context)


def _unless_unchanged(request: HttpRequest, visible_job: VisibleJob, response: HttpResponse) -> HttpResponseBase:
    conditional = get_conditional_response(request, etag=response["ETag"], response=response)
    answer: HttpResponseBase = response if conditional is None else conditional
    seconds = retry_after(visible_job.status.state, age=visible_job.status.age, due_in=visible_job.status.due_in)
    if seconds is not None:
        answer["Retry-After"] = str(seconds)
    return answer
