"""A batch's page: progress, jobs by state, child batches, callbacks, and a cancel button."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.formats import number_format
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from ...models import Batch
from ...operations import Progress, batch_progress, cancel_batch
from ...policy.batches import FINAL_BATCH_STATES
from ...policy.states import State
from ...store.batches.batch import count_jobs_by_state
from ..site.databases import row_text, shown_id
from ..site.labels import known_details, state_label
from ..site.links import list_url, may_open, page_link
from ..site.page_admin import PageAdmin, actor
from ..site.permissions import CANCEL, REDRIVE, has_permission, require_permission
from ..site.times import format_timestamp
from .labels import CALLBACK_LABELS, batch_progress_bar, batch_state_badge

MAX_CHILD_BATCHES = 50
"""Child batches that are listed."""


def detail(model_admin: PageAdmin[Batch], request: HttpRequest, batch: Batch) -> HttpResponse:
    """Return the page. A few statements; a batch with very many jobs has no counts of its waiting states."""
    progress = batch_progress(batch)
    children = list(Batch.objects.filter(parent=batch.pk).order_by("pk")[: MAX_CHILD_BATCHES + 1])
    can_cancel = (
        has_permission(request, CANCEL) and progress.state not in FINAL_BATCH_STATES and batch.cancelled_at is None
    )
    context = model_admin.page_context(
        request,
        title=gettext("Batch %(id)s") % {"id": shown_id(batch.pk)},
        subtitle=batch.description,
        state=batch_state_badge(progress.state),
        bar=batch_progress_bar(progress),
        details=_details(model_admin, request, batch),
        counts=_counts(model_admin, request, batch, progress),
        children=[
            (
                row_text(child.pk),
                child.description,
                model_admin.url("batch_change", child.pk),
                batch_state_badge(child.state),
            )
            for child in children[:MAX_CHILD_BATCHES]
        ],
        has_more_children=len(children) > MAX_CHILD_BATCHES,
        callbacks=[
            (label, stored["name"])
            for callback, label in CALLBACK_LABELS.items()
            if (stored := getattr(batch, callback.value)) is not None
        ],
        jobs_url=_jobs_url(model_admin, request, batch),
        redrive_url=_redrive_url(model_admin, request, batch) if progress.dead else None,
        dead=number_format(progress.dead, force_grouping=True),
        cancel_url=model_admin.url("batch_cancel", batch.pk) if can_cancel else None,
    )
    return TemplateResponse(request, "admin/django_jobs/batch/detail.html", context)


def cancel_view(model_admin: PageAdmin[Batch], request: HttpRequest, pk: int) -> HttpResponse:
    """Cancel a batch and return to its page."""
    if request.method != "POST":
        raise Http404
    require_permission(request, CANCEL)
    batch = model_admin.get_object(request, str(pk))
    if batch is None:
        return model_admin.redirect_missing(request, missing_text(pk))
    cancel_and_report(model_admin, request, [batch])
    return HttpResponseRedirect(model_admin.url("batch_change", pk))


def cancel_and_report(model_admin: PageAdmin[Batch], request: HttpRequest, batches: list[Batch]) -> None:
    """Cancel batches, log it, and show the result."""
    jobs = 0
    final = {state.value for state in FINAL_BATCH_STATES}
    unfinished = [batch for batch in batches if batch.state not in final and batch.cancelled_at is None]
    for batch in unfinished:
        jobs += sum(cancel_batch(batch, by=actor(request)))
        model_admin.log_change(request, batch, str(_("Cancelled.")))
    if not unfinished:
        text = gettext("Nothing was changed: finished, or cancelled before.")
        model_admin.message_user(request, text, messages.WARNING)
        return
    text = ngettext(
        "Cancelled; %(number)d waiting or running job affected.",
        "Cancelled; %(number)d waiting or running jobs affected.",
        jobs,
    )
    model_admin.message_user(request, text % {"number": jobs}, messages.SUCCESS)


def missing_text(pk: int | str) -> str:
    """Return the message for a batch that no longer exists."""
    return gettext("Batch %(id)s no longer exists: it was pruned.") % {"id": pk}


def _details(model_admin: PageAdmin[Batch], request: HttpRequest, batch: Batch) -> list[tuple[Any, Any]]:
    def time(instant: datetime | None) -> str:
        return format_timestamp(instant) if instant else ""

    parent = page_link(request, model_admin.admin_site, "batch", batch.parent_id, row_text(batch.parent_id))
    return known_details(
        (_("Created"), time(batch.created_at)),
        (_("Closed"), time(batch.closed_at)),
        (_("Completed"), time(batch.completed_at)),
        (_("Abandoned by its builder"), time(batch.abandoned_at)),
        (_("Cancelled"), time(batch.cancelled_at)),
        (_("Cancelled by"), batch.cancelled_by),
        (_("Parent batch"), parent if batch.parent_id else ""),
    )


def _counts(
    model_admin: PageAdmin[Batch], request: HttpRequest, batch: Batch, progress: Progress
) -> list[tuple[str, int, str]]:
    """Return (state, number, address of these jobs): each state of a small batch, the counted ones of a huge one.

    The address is empty for users who may not view jobs.
    """
    counted = count_jobs_by_state(batch)
    if counted is not None:
        found = [(str(state), state_label(state), counted[state]) for state in State if counted.get(state)]
    else:
        final = {
            State.SUCCEEDED: progress.succeeded,
            State.DEAD: progress.dead,
            State.CANCELLED: progress.cancelled,
        }
        found = [(str(state), state_label(state), number) for state, number in final.items() if number]
        found += [("", gettext("not finished"), progress.waiting)] if progress.waiting else []
    return [(label, number, _jobs_url(model_admin, request, batch, state)) for state, label, number in found]


def _redrive_url(model_admin: PageAdmin[Batch], request: HttpRequest, batch: Batch) -> str | None:
    """Return the address that asks before the batch's dead jobs are redriven, for users who may do that."""
    if not (has_permission(request, REDRIVE) and may_open(request, model_admin.admin_site, "deadletter")):
        return None
    return f"{model_admin.url('deadletter_bulk_start', 'redrive')}?batch={batch.pk}"


def _jobs_url(model_admin: PageAdmin[Batch], request: HttpRequest, batch: Batch, state: str = "") -> str:
    of_state = f"&state={state}" if state else ""
    return list_url(request, model_admin.admin_site, "job", f"batch={batch.pk}{of_state}")
