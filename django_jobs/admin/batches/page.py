"""A batch's page: how far it is, its jobs by state, what is in it and around it, and the button that cancels it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from ...models import Batch
from ...operations import Progress, batch_progress, cancel_batch
from ...policy.batches import FINAL_BATCH_STATES
from ...policy.states import State
from ...store.batches.batch import count_jobs_by_state
from ..jobs.labels import page_link, state_label
from ..site.base import actor, format_timestamp
from ..site.permissions import CANCEL, has_permission, require_permission
from .labels import CALLBACK_LABELS, batch_progress_bar, batch_state_badge

if TYPE_CHECKING:
    from .admin import BatchAdmin

MAX_CHILD_BATCHES = 50
"""Batches inside a batch that are shown."""


def detail(model_admin: BatchAdmin, request: HttpRequest, batch: Batch) -> HttpResponse:
    """Return the page. A few statements; of a batch with very many jobs those that wait are not told apart."""
    now = batch_progress(batch)
    inside = list(Batch.objects.filter(parent=batch.pk).order_by("pk")[: MAX_CHILD_BATCHES + 1])
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "original": batch,
        "title": gettext("Batch %(id)s") % {"id": batch.pk},
        "subtitle": batch.description,
        "media": model_admin.media,
        "state": batch_state_badge(now.state),
        "bar": batch_progress_bar(now),
        "facts": _facts(model_admin, request, batch),
        "numbers": _numbers(model_admin, batch, now),
        "inside": [
            (one, model_admin.url("batch_change", one.pk), batch_state_badge(one.state))
            for one in inside[:MAX_CHILD_BATCHES]
        ],
        "has_more_children": len(inside) > MAX_CHILD_BATCHES,
        "callbacks": [
            (label, stored["name"])
            for callback, label in CALLBACK_LABELS.items()
            if (stored := getattr(batch, callback.value)) is not None
        ],
        "jobs_url": _jobs(model_admin, batch),
        "cancel_url": model_admin.url("batch_cancel", batch.pk)
        if has_permission(request, CANCEL)
        and now.state not in FINAL_BATCH_STATES
        and batch.cancelled_at is None
        else None,
    }
    return TemplateResponse(request, "admin/django_jobs/batch/detail.html", context)


def cancel_view(model_admin: BatchAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Cancel a batch and go back to its page."""
    if request.method != "POST":
        raise Http404
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    require_permission(request, CANCEL)
    batch = model_admin.get_object(request, str(pk))
    if batch is None:
        return redirect_missing(model_admin, request, pk)
    cancel_and_report(model_admin, request, [batch])
    return HttpResponseRedirect(model_admin.url("batch_change", pk))


def cancel_and_report(model_admin: BatchAdmin, request: HttpRequest, batches: list[Batch]) -> None:
    """Cancel batches, log it, and say what came of it."""
    jobs = 0
    ended = {state.value for state in FINAL_BATCH_STATES}
    going = [batch for batch in batches if batch.state not in ended and batch.cancelled_at is None]
    for batch in going:
        jobs += sum(cancel_batch(batch, by=actor(request)))
        model_admin.log_change(request, batch, str(_("Cancelled.")))
    if not going:
        model_admin.message_user(request, _("It has ended, or was cancelled before."), messages.WARNING)
        return
    text = ngettext(
        "Cancelled; %(number)d job was waiting, or was asked to end.",
        "Cancelled; %(number)d jobs were waiting, or were asked to end.",
        jobs,
    )
    model_admin.message_user(request, text % {"number": jobs}, messages.SUCCESS)


def redirect_missing(model_admin: BatchAdmin, request: HttpRequest, pk: int | str) -> HttpResponse:
    """Say that a batch is not there any more, and go to the list."""
    text = gettext("Batch %(id)s is gone: it ended long ago and was pruned.") % {"id": pk}
    model_admin.message_user(request, text, messages.WARNING)
    return HttpResponseRedirect(model_admin.url("batch_changelist"))


def _facts(model_admin: BatchAdmin, request: HttpRequest, batch: Batch) -> list[tuple[Any, Any]]:
    site = model_admin.admin_site
    facts = [
        (_("Begun"), format_timestamp(batch.created_at)),
        (_("Closed"), format_timestamp(batch.closed_at) if batch.closed_at else ""),
        (_("All ended"), format_timestamp(batch.completed_at) if batch.completed_at else ""),
        (_("Given up by its builder"), format_timestamp(batch.abandoned_at) if batch.abandoned_at else ""),
        (_("Cancelled"), format_timestamp(batch.cancelled_at) if batch.cancelled_at else ""),
        (_("Cancelled by"), batch.cancelled_by),
        (
            _("Inside"),
            page_link(request, site, "batch", batch.parent_id, f"#{batch.parent_id}")
            if batch.parent_id
            else "",
        ),
    ]
    return [(name, value) for name, value in facts if value != ""]


def _numbers(model_admin: BatchAdmin, batch: Batch, now: Progress) -> list[tuple[str, int, str]]:
    """Return (state, number, address of these jobs): of a smaller batch each state, of a huge one what is counted."""
    counted = count_jobs_by_state(batch)
    if counted is not None:
        found = [(str(state), state_label(state), counted[state]) for state in State if counted.get(state)]
    else:
        ended = {State.SUCCEEDED: now.succeeded, State.DEAD: now.dead, State.CANCELLED: now.cancelled}
        found = [(str(state), state_label(state), number) for state, number in ended.items() if number]
        found += [("", gettext("not ended"), now.waiting)] if now.waiting else []
    return [(words, number, _jobs(model_admin, batch, state)) for state, words, number in found]


def _jobs(model_admin: BatchAdmin, batch: Batch, state: str = "") -> str:
    of_state = f"&state={state}" if state else ""
    return f"{model_admin.url('job_changelist')}?batch={batch.pk}{of_state}"
