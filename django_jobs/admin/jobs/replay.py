"""Enqueue copies of all succeeded jobs that match a filter: a count first, then a job that does it."""

from __future__ import annotations

from dataclasses import replace

from django.contrib import messages
from django.contrib.admin.models import ADDITION
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.formats import number_format
from django.utils.http import urlencode
from django.utils.translation import gettext, ngettext

from ...builtin_jobs import replay_matching
from ...conf.database import current_database
from ...models import Job
from ...policy.filter_values import FilterError
from ...policy.job_filter import JobFilter
from ...policy.states import State
from ...store.clock import database_now
from ...store.search.jobs import find_jobs
from ..bulk.subject import shown_details
from ..site.page_admin import PageAdmin, log_rows
from ..site.permissions import ENQUEUE, VIEW_ARGUMENTS, has_permission, require_permission
from .bulk_actions import SUBJECT
from .filters import read_filter

MAX_COUNTED = 1_000


def replay_url(model_admin: PageAdmin[Job], request: HttpRequest) -> str | None:
    """Return the address of the page for the list's filter, None if the user or the filter rules it out."""
    if not (has_permission(request, ENQUEUE) and has_permission(request, VIEW_ARGUMENTS)):
        return None
    try:
        wanted = read_filter(request)
    except FilterError:
        return None
    if wanted.state is not State.SUCCEEDED:
        return None
    return f"{model_admin.url('job_replay')}?{urlencode(wanted.to_query())}"


def replay_view(model_admin: PageAdmin[Job], request: HttpRequest) -> HttpResponse:
    """Ask with the number of matches; then start the job and show its page."""
    require_permission(request, ENQUEUE)
    require_permission(request, VIEW_ARGUMENTS)
    wanted = read_filter(request)
    back = f"{model_admin.url('job_changelist')}?{urlencode(wanted.to_query())}"
    if wanted.state is not State.SUCCEEDED:
        text = gettext("Only succeeded jobs can be copied in bulk: filter by that state.")
        model_admin.message_user(request, text, messages.ERROR)
        return HttpResponseRedirect(back)
    wanted = _up_to_now(wanted)
    found = find_jobs(wanted, limit=MAX_COUNTED)
    is_more = found.next_cursor is not None
    if request.method == "POST":
        total = None if is_more else len(found.rows)
        job = replay_matching.using(database=current_database()).enqueue(jobs=wanted.to_query(), total=total)
        details = {name: str(value) for name, value in shown_details(SUBJECT, wanted, None)}
        text = gettext("Copies of all matching jobs: %(filter)s") % {"filter": details}
        log_rows(request, [job], ADDITION, text)
        return HttpResponseRedirect(model_admin.url("job_change", job.pk))
    number = number_format(len(found.rows), force_grouping=True) + ("+" if is_more else "")
    return model_admin.confirm(
        request,
        title=gettext("Enqueue copies of all matching jobs"),
        headline=ngettext("%(number)s job matches.", "%(number)s jobs match.", len(found.rows)) % {"number": number},
        text=gettext("Each is enqueued again as it was."),
        details=list(wanted.to_query().items()),
        notes=[
            gettext(
                "A background job enqueues the copies in small steps, with progress; it can be cancelled. Jobs"
                " enqueued from now on are not copied."
            )
        ],
        label=gettext("Enqueue copies"),
        back=back,
    )


def _up_to_now(wanted: JobFilter) -> JobFilter:
    """Return the filter without the jobs that come from now on, such as the copies."""
    now = database_now()
    until = now if wanted.until is None else min(wanted.until, now)
    return replace(wanted.frozen(now), until=until)
