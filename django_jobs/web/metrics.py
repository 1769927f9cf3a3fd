"""``GET metrics/``: the gauges of the service, for Prometheus or as JSON; by staff, or a token with the right to it."""

from __future__ import annotations

from collections.abc import Mapping

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse

from ..conf.readers import as_queue_name
from ..exceptions import ConfigurationError
from ..store.stats.gauges import Gauges, read_gauges_of_each
from .access import VIEW_JOB, has_permission
from .problem_kinds import ProblemKind
from .problems import Problem, check_method, handle_problems
from .token_auth import INSUFFICIENT, authenticate
from .tokens import record_token_use

FORMATS = ("prometheus", "json")


@handle_problems
def metrics(request: HttpRequest) -> HttpResponseBase:
    """Answer all gauges, or those of ``?queue=NAME``, as ``?format=`` says."""
    check_method(request, "GET", "HEAD")
    _check_access(request)
    format_name, queue = _read_query(request)
    gauges = read_gauges_of_each(names=None if queue is None else [queue])
    response = _as_json(gauges, queue) if format_name == "json" else _as_text(gauges)
    response["Cache-Control"] = "no-store"
    response["Vary"] = "Authorization, Cookie"
    return response


def _check_access(request: HttpRequest) -> None:
    """Raise Problem unless the request is of staff who may view jobs, or has a token with the right to metrics."""
    user = getattr(request, "user", None)
    if "Authorization" not in request.headers and user is not None and user.is_staff:
        if not has_permission(request, VIEW_JOB):
            raise Problem(ProblemKind.METRICS_NOT_ALLOWED, f"metrics need the permission {VIEW_JOB}")
        return
    token = authenticate(request)
    if not token.reads_metrics:
        raise Problem(
            ProblemKind.METRICS_NOT_ALLOWED,
            f"the token {token} has no right to metrics; create one by 'manage.py jobs_token create NAME --metrics'",
            headers=INSUFFICIENT,
        )
    record_token_use(token)


def _read_query(request: HttpRequest) -> tuple[str, str | None]:
    """Return the format and the name of the queue, None for all. Raises Problem."""
    given, queue = request.GET.get("format", FORMATS[0]), request.GET.get("queue")
    if given not in FORMATS:
        detail = f"format: expected {' or '.join(FORMATS)}, got {given[:40]!r}"
        raise Problem(ProblemKind.WRONG_QUERY, detail)
    try:
        return given, None if queue is None else as_queue_name("queue", queue)
    except ConfigurationError as error:
        raise Problem(ProblemKind.WRONG_QUERY, str(error)) from None


def _as_json(gauges: Mapping[str, Gauges | None], queue: str | None) -> HttpResponse:
    from ..contrib.prometheus.gauges import gauges_as_json, queue_as_json

    return JsonResponse(gauges_as_json(gauges) if queue is None else queue_as_json(queue, gauges))


def _as_text(gauges: Mapping[str, Gauges | None]) -> HttpResponse:
    from ..contrib.prometheus.gauges import render_gauges

    try:
        content, content_type = render_gauges(gauges)
    except ConfigurationError as error:
        raise Problem(ProblemKind.NEEDS_PROMETHEUS, f"{error}, or ask for ?format=json") from error
    return HttpResponse(content, content_type=content_type)
