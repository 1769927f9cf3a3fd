"""Problem details (RFC 9457): raised by views, answered as ``application/problem+json`` or a small page."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from functools import wraps
from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _

from .negotiation import prefers_html
from .problem_kinds import ProblemKind

CONTENT_TYPE = "application/problem+json"

PAGE_TITLES = {
    ProblemKind.BAD_ADDRESS: _("There is nothing at this address. Is it complete?"),
    ProblemKind.ADDRESS_EXPIRED: _("This address has expired."),
    ProblemKind.NOT_PERMITTED: _("You do not have access to this page."),
    ProblemKind.JOB_GONE: _("This is no longer stored."),
}
"""Titles for people, shown instead of the detail for programs."""

View = Callable[..., HttpResponseBase]
AsyncView = Callable[..., Coroutine[Any, Any, HttpResponseBase]]


class Problem(Exception):
    """Ends a view with problem details; ``detail`` says what was expected, what was sent, and what to do."""

    def __init__(
        self, kind: ProblemKind, detail: str, *, headers: Mapping[str, str] | None = None, **more: Any
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.headers = dict(headers or {})
        self.more = more


def problem_details(kind: ProblemKind, detail: str, **more: Any) -> dict[str, Any]:
    """Return the members of problem details, without a status code."""
    return {"type": kind.uri, "title": kind.title, "detail": detail, **more}


def problem_response(problem: Problem) -> JsonResponse:
    """Answer a problem as JSON with its status code."""
    status = problem.kind.status
    body = problem_details(problem.kind, problem.detail, status=status.value, **problem.more)
    headers = {"Cache-Control": "no-store", **problem.headers}
    return JsonResponse(body, status=status, content_type=CONTENT_TYPE, headers=headers)


def handle_problems(view: View) -> View:
    """Answer with problem details when the view raises Problem."""

    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return view(request, *args, **kwargs)
        except Problem as problem:
            return problem_response(problem)

    return answer


def handle_problems_async(view: AsyncView) -> AsyncView:
    """Do the same for an asynchronous view; browsers get a page."""

    @wraps(view)
    async def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return await view(request, *args, **kwargs)
        except Problem as problem:
            if not prefers_html(request):
                return problem_response(problem)
            return await sync_to_async(problem_page)(request, problem)

    return answer


def problem_page(request: HttpRequest, problem: Problem) -> HttpResponse:
    """Answer a problem as a page."""
    title = PAGE_TITLES.get(problem.kind)
    context = {"title": title or problem.kind.title, "detail": "" if title else problem.detail}
    response = render(request, "django_jobs/problem.html", context, status=problem.kind.status)
    for name, value in {"Cache-Control": "no-store", **problem.headers}.items():
        response[name] = value
    return response


def check_method(request: HttpRequest, *allowed: str) -> None:
    """Raise Problem unless the request's method is one of ``allowed``."""
    if request.method not in allowed:
        raise Problem(
            ProblemKind.WRONG_METHOD,
            f"expected {' or '.join(allowed)}, got {request.method}",
            headers={"Allow": ", ".join(allowed)},
        )
