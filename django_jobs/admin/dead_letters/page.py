"""A dead letter's page: what went wrong, where in the project's code, what became of it, and what can be done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ...models import DeadLetter
from ...operations import set_dead_letter_note
from ...policy.project_frames import project_frame
from ...policy.truncate import truncate
from ...worker.execution.errors import is_project_file
from ..jobs.labels import page_link
from ..site.base import format_timestamp
from ..site.permissions import RESOLVE, VIEW_ARGUMENTS, has_permission, require_permission
from .actions import ACTIONS, apply
from .filters import reason_label

if TYPE_CHECKING:
    from .admin import DeadLetterAdmin

MAX_TEXT_CHARS = 20_000


def detail(model_admin: DeadLetterAdmin, request: HttpRequest, letter: DeadLetter) -> HttpResponse:
    """Return the page."""
    can_view_arguments = has_permission(request, VIEW_ARGUMENTS)
    is_open = letter.status == DeadLetter.Status.OPEN
    traceback = letter.traceback if can_view_arguments else ""
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "original": letter,
        "media": model_admin.media,
        "title": gettext("Dead letter %(id)s") % {"id": letter.pk},
        "subtitle": letter.job_name,
        "facts": _facts(model_admin, request, letter),
        "show_errors": can_view_arguments,
        "error": letter.error_class,
        "message": truncate(letter.error_message, MAX_TEXT_CHARS) if can_view_arguments else "",
        "frame": project_frame(traceback, is_project=is_project_file) if traceback else None,
        "traceback": truncate(traceback, MAX_TEXT_CHARS),
        "whole": model_admin.url("deadletter_text", letter.pk)
        if len(traceback) + len(letter.error_message) > MAX_TEXT_CHARS
        else None,
        "verbs": [
            (key, verb.label, model_admin.url("deadletter_act", letter.pk, key))
            for key, verb in ACTIONS.items()
            if is_open and has_permission(request, verb.permission)
        ],
        "note_url": model_admin.url("deadletter_act", letter.pk, "note")
        if has_permission(request, RESOLVE)
        else None,
        "group_url": model_admin.url("deadlettergroup", letter.fingerprint),
        "history_url": model_admin.url("deadletter_history", letter.pk),
    }
    return TemplateResponse(request, "admin/django_jobs/deadletter/detail.html", context)


def _facts(model_admin: DeadLetterAdmin, request: HttpRequest, letter: DeadLetter) -> list[tuple[Any, Any]]:
    link = page_link(request, model_admin.admin_site, "job", letter.job_id, f"#{letter.job_id}")
    facts = [
        (_("Status"), letter.get_status_display()),
        (_("Reason"), reason_label(letter.reason)),
        (_("Job"), link if letter.job_id else "-"),
        (_("Queue"), letter.queue_name),
        (_("Tries"), letter.attempt),
        (_("Died"), format_timestamp(letter.died_at)),
        (_("Ended"), format_timestamp(letter.resolved_at) if letter.resolved_at else ""),
        (_("By"), letter.resolved_by),
    ]
    return [(name, value) for name, value in facts if value != ""]


def text_view(model_admin: DeadLetterAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Return the whole error as plain text."""
    require_permission(request, VIEW_ARGUMENTS)
    letter = DeadLetter.objects.filter(pk=pk).first()
    if letter is None:
        raise Http404(gettext("There is no such letter."))
    text = f"{letter.error_class}: {letter.error_message}\n\n{letter.traceback}"
    answer = HttpResponse(text.encode("utf-8", "backslashreplace"), content_type="text/plain; charset=utf-8")
    answer["X-Content-Type-Options"] = "nosniff"
    return answer


def action_view(model_admin: DeadLetterAdmin, request: HttpRequest, pk: int, verb: str) -> HttpResponse:
    """Do what a button says; purging asks first."""
    if verb == "note":
        return _note(model_admin, request, pk)
    if verb not in ACTIONS or (request.method != "POST" and verb != "purge"):
        raise Http404
    require_permission(request, ACTIONS[verb].permission)
    letter = DeadLetter.objects.filter(pk=pk).defer("traceback").first()
    if letter is None:
        return redirect_missing(model_admin, request, pk)
    if request.method != "POST":
        return confirm(
            model_admin, request, [letter], back=model_admin.url("deadletter_change", pk), fields=[]
        )
    if apply(request, ACTIONS[verb], [pk]):
        text = gettext("Letter %(id)s is %(past)s.") % {"id": pk, "past": ACTIONS[verb].past}
        model_admin.message_user(request, text, messages.SUCCESS)
    else:
        now = DeadLetter.objects.filter(pk=pk).defer("traceback").first()
        if now is None:
            return redirect_missing(model_admin, request, pk)
        text = gettext("Letter %(id)s is %(status)s by now; nothing was changed.") % {
            "id": pk,
            "status": now.get_status_display(),
        }
        model_admin.message_user(request, text, messages.WARNING)
    return HttpResponseRedirect(model_admin.url("deadletter_change", pk))


def _note(model_admin: DeadLetterAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    if request.method != "POST":
        raise Http404
    require_permission(request, RESOLVE)
    if not set_dead_letter_note(pk, note=request.POST.get("note", "").strip()):
        return redirect_missing(model_admin, request, pk)
    model_admin.message_user(request, gettext("The note is kept."), messages.SUCCESS)
    return HttpResponseRedirect(model_admin.url("deadletter_change", pk))


def confirm(
    model_admin: DeadLetterAdmin,
    request: HttpRequest,
    letters: list[DeadLetter],
    *,
    back: str,
    fields: list[tuple[str, Any]],
) -> TemplateResponse:
    """Return the page that asks whether the letters' jobs are to be deleted; ``fields`` are posted with the answer."""
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "title": gettext("Purge dead letters"),
        "media": model_admin.media,
        "letters": letters,
        "fields": fields,
        "back": back,
    }
    return TemplateResponse(request, "admin/django_jobs/deadletter/purge.html", context)


def redirect_missing(model_admin: DeadLetterAdmin, request: HttpRequest, pk: int | str) -> HttpResponse:
    """Say that a letter is not there any more, and go to the list."""
    model_admin.message_user(
        request, gettext("Letter %(id)s is gone: it was pruned meanwhile.") % {"id": pk}, messages.WARNING
    )
    return HttpResponseRedirect(model_admin.url("deadletter_changelist"))
