"""A dead letter's page: what went wrong, where in the project's code, what became of it, and what can be done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ...models import DeadLetter
from ...policy.project_frames import project_frame
from ...policy.truncate import cut
from ...store.dead_letters.resolve import note_letter
from ...worker.execution.errors import is_project_file
from ..jobs.labels import page_link
from ..site.base import exactly
from ..site.permissions import RESOLVE, VIEW_ARGUMENTS, may, require
from .actions import VERBS, act
from .filters import reason_words

if TYPE_CHECKING:
    from .admin import DeadLetterAdmin

SHOWN_CHARACTERS = 20_000


def detail(page: DeadLetterAdmin, request: HttpRequest, letter: DeadLetter) -> HttpResponse:
    """Return the page."""
    sees = may(request, VIEW_ARGUMENTS)
    is_open = letter.status == DeadLetter.Status.OPEN
    traceback = letter.traceback if sees else ""
    context = {
        **page.admin_site.each_context(request),
        "opts": page.opts,
        "original": letter,
        "media": page.media,
        "title": gettext("Dead letter %(id)s") % {"id": letter.pk},
        "subtitle": letter.job_name,
        "facts": _facts(page, request, letter),
        "sees_errors": sees,
        "error": letter.error_class,
        "message": cut(letter.error_message, SHOWN_CHARACTERS) if sees else "",
        "frame": project_frame(traceback, is_project=is_project_file) if traceback else None,
        "traceback": cut(traceback, SHOWN_CHARACTERS),
        "whole": page.url("deadletter_text", letter.pk)
        if len(traceback) + len(letter.error_message) > SHOWN_CHARACTERS
        else None,
        "verbs": [
            (key, verb.label, page.url("deadletter_act", letter.pk, key))
            for key, verb in VERBS.items()
            if is_open and may(request, verb.permission)
        ],
        "note_address": page.url("deadletter_act", letter.pk, "note") if may(request, RESOLVE) else None,
        "group_address": page.url("deadlettergroup", letter.fingerprint),
        "history_url": page.url("deadletter_history", letter.pk),
    }
    return TemplateResponse(request, "admin/django_jobs/deadletter/detail.html", context)


def _facts(page: DeadLetterAdmin, request: HttpRequest, letter: DeadLetter) -> list[tuple[Any, Any]]:
    link = page_link(request, page.admin_site, "job", letter.job_id, f"#{letter.job_id}")
    facts = [
        (_("Status"), letter.get_status_display()),
        (_("Reason"), reason_words(letter.reason)),
        (_("Job"), link if letter.job_id else "-"),
        (_("Queue"), letter.queue_name),
        (_("Tries"), letter.attempt),
        (_("Died"), exactly(letter.died_at)),
        (_("Ended"), exactly(letter.resolved_at) if letter.resolved_at else ""),
        (_("By"), letter.resolved_by),
    ]
    return [(name, value) for name, value in facts if value != ""]


def text_view(page: DeadLetterAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Return the whole error as plain text."""
    require(request, VIEW_ARGUMENTS)
    letter = DeadLetter.objects.filter(pk=pk).first()
    if letter is None:
        raise Http404(gettext("There is no such letter."))
    text = f"{letter.error_class}: {letter.error_message}\n\n{letter.traceback}"
    answer = HttpResponse(text.encode("utf-8", "backslashreplace"), content_type="text/plain; charset=utf-8")
    answer["X-Content-Type-Options"] = "nosniff"
    return answer


def act_view(page: DeadLetterAdmin, request: HttpRequest, pk: int, verb: str) -> HttpResponse:
    """Do what a button says; purging asks first."""
    if verb == "note":
        return _note(page, request, pk)
    if verb not in VERBS or (request.method != "POST" and verb != "purge"):
        raise Http404
    require(request, VERBS[verb].permission)
    letter = DeadLetter.objects.filter(pk=pk).defer("traceback").first()
    if letter is None:
        return gone(page, request, pk)
    if request.method != "POST":
        return confirm(page, request, [letter], back=page.url("deadletter_change", pk), fields=[])
    if act(request, VERBS[verb], [pk]):
        text = gettext("Letter %(id)s is %(past)s.") % {"id": pk, "past": VERBS[verb].past}
        page.message_user(request, text, messages.SUCCESS)
    else:
        now = DeadLetter.objects.filter(pk=pk).defer("traceback").first()
        if now is None:
            return gone(page, request, pk)
        text = gettext("Letter %(id)s is %(status)s by now; nothing was changed.") % {
            "id": pk,
            "status": now.get_status_display(),
        }
        page.message_user(request, text, messages.WARNING)
    return HttpResponseRedirect(page.url("deadletter_change", pk))


def _note(page: DeadLetterAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    if request.method != "POST":
        raise Http404
    require(request, RESOLVE)
    if not note_letter(pk, note=request.POST.get("note", "").strip()):
        return gone(page, request, pk)
    page.message_user(request, gettext("The note is kept."), messages.SUCCESS)
    return HttpResponseRedirect(page.url("deadletter_change", pk))


def confirm(
    page: DeadLetterAdmin,
    request: HttpRequest,
    letters: list[DeadLetter],
    *,
    back: str,
    fields: list[tuple[str, Any]],
) -> TemplateResponse:
    """Return the page that asks whether the letters' jobs are to be deleted; ``fields`` are posted with the answer."""
    context = {
        **page.admin_site.each_context(request),
        "opts": page.opts,
        "title": gettext("Purge dead letters"),
        "media": page.media,
        "letters": letters,
        "fields": fields,
        "back": back,
    }
    return TemplateResponse(request, "admin/django_jobs/deadletter/purge.html", context)


def gone(page: DeadLetterAdmin, request: HttpRequest, pk: int | str) -> HttpResponse:
    """Say that a letter is not there any more, and go to the list."""
    page.message_user(
        request, gettext("Letter %(id)s is gone: it was pruned meanwhile.") % {"id": pk}, messages.WARNING
    )
    return HttpResponseRedirect(page.url("deadletter_changelist"))
