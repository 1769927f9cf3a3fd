"""A dead letter's page: details, the error, its place in the project's code, a note, and buttons for its actions."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ...models import Attempt, DeadLetter
from ...operations import set_dead_letter_note
from ...policy.error_text import class_name, class_text, error_text
from ...policy.poison import READ_MESSAGE
from ...policy.project_frames import project_frame
from ...policy.truncate import truncate
from ...store.logs import logs_of
from ...worker.execution.errors import is_project_file
from ..site.databases import row_text, shown_id
from ..site.job_arguments import arguments_text
from ..site.job_log import log_context
from ..site.labels import death_reason_label, known_details
from ..site.links import page_link
from ..site.page_admin import PageAdmin
from ..site.permissions import RESOLVE, VIEW_ARGUMENTS, has_permission, require_permission
from ..site.text import text_response
from ..site.times import format_timestamp
from .actions import ACTIONS, apply

MAX_TEXT_CHARS = 20_000


def detail(model_admin: PageAdmin[DeadLetter], request: HttpRequest, dead_letter: DeadLetter) -> HttpResponse:
    """Return the page."""
    can_view_arguments = has_permission(request, VIEW_ARGUMENTS)
    is_open = dead_letter.status == DeadLetter.Status.OPEN
    traceback = dead_letter.traceback if can_view_arguments else ""
    is_truncated = len(traceback) + len(dead_letter.error_message) > MAX_TEXT_CHARS
    group_url = model_admin.url("deadlettergroup", dead_letter.fingerprint)
    context = model_admin.page_context(
        request,
        title=gettext("Dead letter %(id)s") % {"id": shown_id(dead_letter.pk)},
        subtitle=dead_letter.job_name,
        trail=[(group_url, class_name(dead_letter.error_class) or death_reason_label(dead_letter.reason))],
        original=dead_letter,
        details=_details(model_admin, request, dead_letter),
        show_errors=can_view_arguments,
        error=class_text(dead_letter.error_class),
        message=truncate(dead_letter.error_message, MAX_TEXT_CHARS) if can_view_arguments else "",
        frame=project_frame(traceback, is_project=is_project_file) if traceback else None,
        traceback=truncate(traceback, MAX_TEXT_CHARS),
        arguments=_arguments(dead_letter) if can_view_arguments else "",
        log=_log(dead_letter) if can_view_arguments else None,
        full_url=model_admin.url("deadletter_text", dead_letter.pk) if is_truncated else None,
        buttons=[
            (key, _label(key, action.label, dead_letter), model_admin.url("deadletter_act", dead_letter.pk, key))
            for key, action in ACTIONS.items()
            if is_open and has_permission(request, action.permission)
        ],
        note_url=model_admin.url("deadletter_act", dead_letter.pk, "note")
        if has_permission(request, RESOLVE)
        else None,
        group_url=group_url,
        history_url=model_admin.url("deadletter_history", dead_letter.pk),
    )
    return TemplateResponse(request, "admin/django_jobs/deadletter/detail.html", context)


def _label(key: str, label: Any, dead_letter: DeadLetter) -> Any:
    """Return the text of a button: to redrive a message that could not become a job is to read it again."""
    return _("Read again") if key == "redrive" and dead_letter.job_name == READ_MESSAGE else label


def _arguments(dead_letter: DeadLetter) -> str:
    """Return the arguments of the job while it exists, secrets masked."""
    return "" if dead_letter.job is None else truncate(arguments_text(dead_letter.job), MAX_TEXT_CHARS)


def _log(dead_letter: DeadLetter) -> dict[str, Any] | None:
    """Return the log of the attempt of which the job died; None if it logged nothing, or is gone."""
    attempts = Attempt.objects.filter(job=dead_letter.job_id, finished_at=dead_letter.died_at)
    claim = attempts.order_by("-claim_number").values_list("claim_number", flat=True).first()
    if dead_letter.job_id is None or claim is None:
        return None
    log = logs_of(dead_letter.job_id, [claim]).get(claim)
    return None if log is None else log_context(log)


def _details(
    model_admin: PageAdmin[DeadLetter], request: HttpRequest, dead_letter: DeadLetter
) -> list[tuple[Any, Any]]:
    pk = dead_letter.job_id
    return known_details(
        (_("Status"), dead_letter.get_status_display()),
        (_("Reason"), death_reason_label(dead_letter.reason)),
        (_("Job"), page_link(request, model_admin.admin_site, "job", pk, row_text(pk))),
        (_("Queue"), dead_letter.queue_name),
        (_("Attempts"), dead_letter.attempt),
        (_("Died"), format_timestamp(dead_letter.died_at)),
        (_("Closed"), format_timestamp(dead_letter.resolved_at) if dead_letter.resolved_at else ""),
        (_("Closed by"), dead_letter.resolved_by),
    )


def text_view(model_admin: PageAdmin[DeadLetter], request: HttpRequest, pk: int) -> HttpResponse:
    """Return the full error as plain text."""
    require_permission(request, VIEW_ARGUMENTS)
    dead_letter = DeadLetter.objects.filter(pk=pk).first()
    if dead_letter is None:
        raise Http404(gettext("No such dead letter."))
    error = error_text(dead_letter.error_class, dead_letter.error_message)
    return text_response(f"{error}\n\n{dead_letter.traceback}")


def action_view(model_admin: PageAdmin[DeadLetter], request: HttpRequest, pk: int, key: str) -> HttpResponse:
    """Apply the action of a button; purging asks first."""
    if key == "note":
        return _note(model_admin, request, pk)
    if key not in ACTIONS or (request.method != "POST" and key != "purge"):
        raise Http404
    action = ACTIONS[key]
    require_permission(request, action.permission)
    dead_letter = DeadLetter.objects.filter(pk=pk).defer("traceback").first()
    if dead_letter is None:
        return model_admin.redirect_missing(request, missing_text(pk))
    page_url = model_admin.url("deadletter_change", pk)
    if request.method != "POST":
        return confirm_purge(model_admin, request, [dead_letter], back=page_url)
    if apply(request, action, [pk]):
        text = gettext("Dead letter %(id)s is %(past)s.") % {"id": pk, "past": action.past}
        model_admin.message_user(request, text, messages.SUCCESS)
        return HttpResponseRedirect(page_url)
    now = DeadLetter.objects.filter(pk=pk).defer("traceback").first()
    if now is None:
        return model_admin.redirect_missing(request, missing_text(pk))
    text = gettext("Dead letter %(id)s is %(status)s now; nothing was changed.")
    values = {"id": pk, "status": now.get_status_display()}
    model_admin.message_user(request, text % values, messages.WARNING)
    return HttpResponseRedirect(page_url)


def _note(model_admin: PageAdmin[DeadLetter], request: HttpRequest, pk: int) -> HttpResponse:
    if request.method != "POST":
        raise Http404
    require_permission(request, RESOLVE)
    if not set_dead_letter_note(pk, note=request.POST.get("note", "").strip()):
        return model_admin.redirect_missing(request, missing_text(pk))
    model_admin.message_user(request, gettext("Note saved."), messages.SUCCESS)
    return HttpResponseRedirect(model_admin.url("deadletter_change", pk))


def confirm_purge(
    model_admin: PageAdmin[DeadLetter],
    request: HttpRequest,
    dead_letters: list[DeadLetter],
    *,
    back: str,
    **context: Any,
) -> TemplateResponse:
    """Return the page that asks before the jobs of dead letters are deleted."""
    return model_admin.confirm(
        request,
        title=gettext("Purge dead letters"),
        text=ACTIONS["purge"].warning,
        rows=[f"{row.job_name}: {class_text(row.error_class)} {row_text(row.pk)}" for row in dead_letters],
        label=gettext("Yes, purge"),
        is_destructive=True,
        back=back,
        **context,
    )


def missing_text(pk: int | str) -> str:
    """Return the message for a dead letter that no longer exists."""
    return gettext("Dead letter %(id)s no longer exists: it was pruned.") % {"id": pk}
