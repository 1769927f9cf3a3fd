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
from ...policy.batches import ENDED_STATES
from ...policy.states import State
from ...store.batches.batch import Progress, cancel_batch, count_states, progress
from ..jobs.labels import page_link, state_words
from ..site.base import actor, exactly
from ..site.permissions import CANCEL, may, require
from .labels import CALLBACKS, batch_bar, batch_state

if TYPE_CHECKING:
    from .admin import BatchAdmin

MOST_INSIDE = 50
"""Batches inside a batch that are shown."""


def detail(page: BatchAdmin, request: HttpRequest, batch: Batch) -> HttpResponse:
    """Return the page. A few statements; of a batch with very many jobs those that wait are not told apart."""
    now = progress(batch)
    inside = list(Batch.objects.filter(parent=batch.pk).order_by("pk")[: MOST_INSIDE + 1])
    context = {
        **page.admin_site.each_context(request),
        "opts": page.opts,
        "original": batch,
        "title": gettext("Batch %(id)s") % {"id": batch.pk},
        "subtitle": batch.description,
        "media": page.media,
        "state": batch_state(now.state),
        "bar": batch_bar(now),
        "facts": _facts(page, request, batch),
        "numbers": _numbers(page, batch, now),
        "inside": [
            (one, page.url("batch_change", one.pk), batch_state(one.state)) for one in inside[:MOST_INSIDE]
        ],
        "has_more_inside": len(inside) > MOST_INSIDE,
        "callbacks": [
            (label, stored["name"])
            for callback, label in CALLBACKS.items()
            if (stored := getattr(batch, callback.value)) is not None
        ],
        "jobs_address": _jobs(page, batch),
        "cancel_address": page.url("batch_cancel", batch.pk)
        if may(request, CANCEL) and now.state not in ENDED_STATES and batch.cancelled_at is None
        else None,
    }
    return TemplateResponse(request, "admin/django_jobs/batch/detail.html", context)


def cancel_view(page: BatchAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Cancel a batch and go back to its page."""
    if request.method != "POST":
        raise Http404
    if not page.has_view_permission(request):
        raise PermissionDenied
    require(request, CANCEL)
    batch = page.get_object(request, str(pk))
    if batch is None:
        return gone(page, request, pk)
    say_cancelled(page, request, [batch])
    return HttpResponseRedirect(page.url("batch_change", pk))


def say_cancelled(page: BatchAdmin, request: HttpRequest, batches: list[Batch]) -> None:
    """Cancel batches, log it, and say what came of it."""
    jobs = 0
    ended = {state.value for state in ENDED_STATES}
    going = [one for one in batches if one.state not in ended and one.cancelled_at is None]
    for batch in going:
        jobs += cancel_batch(batch.pk, by=actor(request))
        page.log_change(request, batch, str(_("Cancelled.")))
    if not going:
        page.message_user(request, _("It has ended, or was cancelled before."), messages.WARNING)
        return
    text = ngettext(
        "Cancelled; %(number)d job was waiting, or was asked to end.",
        "Cancelled; %(number)d jobs were waiting, or were asked to end.",
        jobs,
    )
    page.message_user(request, text % {"number": jobs}, messages.SUCCESS)


def gone(page: BatchAdmin, request: HttpRequest, pk: int | str) -> HttpResponse:
    """Say that a batch is not there any more, and go to the list."""
    text = gettext("Batch %(id)s is gone: it ended long ago and was pruned.") % {"id": pk}
    page.message_user(request, text, messages.WARNING)
    return HttpResponseRedirect(page.url("batch_changelist"))


def _facts(page: BatchAdmin, request: HttpRequest, batch: Batch) -> list[tuple[Any, Any]]:
    site = page.admin_site
    facts = [
        (_("Begun"), exactly(batch.created_at)),
        (_("Closed"), exactly(batch.closed_at) if batch.closed_at else ""),
        (_("All ended"), exactly(batch.completed_at) if batch.completed_at else ""),
        (_("Given up by its builder"), exactly(batch.abandoned_at) if batch.abandoned_at else ""),
        (_("Cancelled"), exactly(batch.cancelled_at) if batch.cancelled_at else ""),
        (_("Cancelled by"), batch.cancelled_by),
        (
            _("Inside"),
            page_link(request, site, "batch", batch.parent_id, f"#{batch.parent_id}")
            if batch.parent_id
            else "",
        ),
    ]
    return [(name, value) for name, value in facts if value != ""]


def _numbers(page: BatchAdmin, batch: Batch, now: Progress) -> list[tuple[str, int, str]]:
    """Return (state, number, address of these jobs): of a smaller batch each state, of a huge one what is counted."""
    counted = count_states(batch)
    if counted is not None:
        found = [(str(state), state_words(state), counted[state]) for state in State if counted.get(state)]
    else:
        ended = {State.SUCCEEDED: now.succeeded, State.DEAD: now.dead, State.CANCELLED: now.cancelled}
        found = [(str(state), state_words(state), number) for state, number in ended.items() if number]
        found += [("", gettext("not ended"), now.waiting)] if now.waiting else []
    return [(words, number, _jobs(page, batch, state)) for state, words, number in found]


def _jobs(page: BatchAdmin, batch: Batch, state: str = "") -> str:
    of_state = f"&state={state}" if state else ""
    return f"{page.url('job_changelist')}?batch={batch.pk}{of_state}"
