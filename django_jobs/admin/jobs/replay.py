"""Enqueueing copies of all jobs that succeeded and match a filter: a dry run, then a job of the engine's own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from django.contrib import messages
from django.contrib.admin.models import ADDITION
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.formats import number_format
from django.utils.http import urlencode
from django.utils.translation import gettext

from ...builtin_jobs import replay_matching
from ...policy.filter_values import FilterError
from ...policy.job_filter import JobFilter
from ...policy.states import State
from ...store.clock import database_now
from ...store.search.jobs import find_jobs
from ..site.base import filter_error_text
from ..site.permissions import ENQUEUE, VIEW_ARGUMENTS, has_permission, require_permission
from .actions import log_action
from .filters import read_filter

if TYPE_CHECKING:
    from .admin import JobAdmin

MAX_COUNTED = 1_000


def replay_url(model_admin: JobAdmin, request: HttpRequest) -> str | None:
    """Return where copies of all that the list's filter matches are enqueued, None where there is nothing to offer."""
    if not (has_permission(request, ENQUEUE) and has_permission(request, VIEW_ARGUMENTS)):
        return None
    try:
        wanted = read_filter(request)
    except FilterError:
        return None
    if wanted.state is not State.SUCCEEDED:
        return None
    return f"{model_admin.url('job_replay')}?{urlencode(wanted.to_query())}"


def replay_view(model_admin: JobAdmin, request: HttpRequest) -> HttpResponse:
    """Say how many match and ask; then start the job and show its page."""
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    require_permission(request, ENQUEUE)
    require_permission(request, VIEW_ARGUMENTS)
    request.current_app = model_admin.admin_site.name
    try:
        wanted = read_filter(request)
    except FilterError as error:
        model_admin.message_user(request, filter_error_text(error), messages.ERROR)
        return HttpResponseRedirect(model_admin.url("job_changelist"))
    back = f"{model_admin.url('job_changelist')}?{urlencode(wanted.to_query())}"
    if wanted.state is not State.SUCCEEDED:
        model_admin.message_user(
            request,
            gettext("Only jobs that succeeded are copied many at once: filter by that state."),
            messages.ERROR,
        )
        return HttpResponseRedirect(back)
    wanted = _up_to_now(wanted)
    found = find_jobs(wanted, limit=MAX_COUNTED)
    is_more = found.next_cursor is not None
    if request.method == "POST":
        total = None if is_more else len(found.rows)
        job = replay_matching.enqueue(jobs=wanted.to_query(), total=total)
        log_action(
            request,
            [job],
            ADDITION,
            gettext("Copies of all that match: %(filter)s") % {"filter": wanted.to_query()},
        )
        return HttpResponseRedirect(model_admin.url("job_change", job.pk))
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "original": None,
        "media": model_admin.media,
        "title": gettext("Enqueue copies of all that match"),
        "number": number_format(len(found.rows), force_grouping=True) + ("+" if is_more else ""),
        "filter": list(wanted.to_query().items()),
        "back": back,
    }
    return TemplateResponse(request, "admin/django_jobs/job/replay.html", context)


def _up_to_now(wanted: JobFilter) -> JobFilter:
    """Return the filter without the jobs that come from now on: the copies among them."""
    now = database_now()
    until = now if wanted.until is None else min(wanted.until, now)
    return replace(wanted.frozen(now), until=until)
