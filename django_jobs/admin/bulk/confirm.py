"""Ask before a bulk action, with a count and what it means; then start the job that does it."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.models import CHANGE
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.formats import number_format
from django.utils.http import urlencode
from django.utils.translation import gettext

from ...conf.database import current_database
from ...models import Job
from ..site.page_admin import PageAdmin, actor, log_rows
from ..site.permissions import has_permission, require_permission
from .forecast import forecast
from .options import PRESET_ABOVE, BulkOptionsForm
from .subject import BulkAction, BulkFilter, BulkSubject, Matches, shown_details


def bulk_action_links(
    model_admin: PageAdmin[Any],
    request: HttpRequest,
    subject: BulkSubject,
    wanted: BulkFilter,
    keys: list[str] | None = None,
) -> list[tuple[str, Any]]:
    """Return (address, label) of the bulk actions, or those of ``keys``, that the user may apply to all that match."""
    return [
        (bulk_url(model_admin, subject, key, wanted), action.bulk_label)
        for key, action in subject.actions.items()
        if has_permission(request, action.permission) and (keys is None or key in keys)
    ]


def bulk_url(model_admin: PageAdmin[Any], subject: BulkSubject, key: str, wanted: BulkFilter) -> str:
    """Return the address of the page that asks."""
    query = urlencode(wanted.to_query())
    return model_admin.url(f"{subject.prefix}_bulk_start", key) + (f"?{query}" if query else "")


def confirm_bulk(model_admin: PageAdmin[Any], request: HttpRequest, subject: BulkSubject, key: str) -> HttpResponse:
    """Ask with the number of matches and the options; then start the job."""
    action = subject.actions.get(key)
    if action is None:
        raise Http404
    require_permission(request, action.permission)
    wanted = subject.read_filter(request)
    matches = subject.count(action, wanted)
    is_first = not subject.is_bounded(wanted)
    form = BulkOptionsForm(
        request.POST if request.method == "POST" else None,
        action,
        proposes_sample=is_first and (matches.is_more or matches.number > PRESET_ABOVE),
        first=request.GET.get("first", "")[:10],
    )
    if request.method == "POST" and form.is_valid():
        job = _enqueue_bulk_job(request, subject, action, matches, form)
        if job is None:
            return model_admin.redirect_missing(request, subject.nothing_text())
        return HttpResponseRedirect(model_admin.url(f"{subject.prefix}_bulk", job.pk))
    later = gettext(
        "A background job does this in small steps, with progress; it can be stopped. What comes later is left out."
    )
    back = urlencode(subject.without_bound(wanted).to_query())
    return model_admin.confirm(
        request,
        title=action.bulk_label,
        headline=subject.headline(matches, number_text(matches)),
        text=action.warning,
        details=shown_details(subject, wanted, request),
        notes=[*subject.notes(wanted, matches), *_forecast(action, matches, form), later],
        fields=list(wanted.to_query().items()),
        form_fields=[form[name] for name in form.fields],
        label=action.label,
        is_destructive=action.is_destructive,
        back=f"{model_admin.changelist_url}?{back}",
    )


def _forecast(action: BulkAction, matches: Matches, form: BulkOptionsForm) -> list[str]:
    """Return what jobs that run again will meet, and why a sample is proposed."""
    if "again_at" not in action.options:
        return []
    notes = forecast(matches.by_queue)
    if matches.is_more and notes:
        notes.append(gettext("These times are of the counted ones only: all of them take longer."))
    if form.proposes_sample:
        notes.append(gettext("Very many match: try the newest few first. Empty the field below for all of them."))
    return notes


def number_text(matches: Matches) -> str:
    """Return how many match, with a plus if there may be more."""
    return number_format(matches.number, force_grouping=True) + ("+" if matches.is_more else "")


def _enqueue_bulk_job(
    request: HttpRequest, subject: BulkSubject, action: BulkAction, matches: Matches, form: BulkOptionsForm
) -> Job | None:
    chosen, total = matches.chosen, None if matches.is_more else matches.number
    if first := form.cleaned_data.get("first"):
        chosen, total = subject.sample(action, matches.chosen, first)
    if total == 0:
        return None
    arguments = {**subject.as_argument(chosen), "by": actor(request), "total": total, **form.job_arguments()}
    metadata = {"filter": matches.chosen.to_query()}
    job = action.job.using(metadata=metadata, database=current_database(), **form.job_options()).enqueue(**arguments)
    details = {name: str(value) for name, value in shown_details(subject, matches.chosen, None)}
    text = gettext("%(action)s: %(number)s, filter %(filter)s") % {
        "action": action.label,
        "number": number_text(matches) if total is None else total,
        "filter": details or "-",
    }
    log_rows(request, [job], CHANGE, text)
    return job
