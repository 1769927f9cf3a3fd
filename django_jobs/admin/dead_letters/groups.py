"""Dead letters grouped by error: a list with counts and a sparkline of the last day, and a page for each group."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.formats import number_format
from django.utils.http import urlencode
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ...models import DeadLetter
from ...operations import mute, set_group_note, unmute
from ...policy.dead_letter_filter import DeadLetterFilter
from ...store.clock import database_now
from ...store.dead_letters.groups import GroupSummary, find_group, groups_page
from ..site.labels import format_duration, format_timestamp
from ..site.page_admin import PageAdmin, actor
from ..site.paging import CURSOR_PARAMETER, Paging
from ..site.permissions import RESOLVE, VIEW_ARGUMENTS, has_permission, require_permission
from .bulk_actions import bulk_action_links

STATUSES = {"open": _("Open"), "muted": _("Muted"), "all": _("All")}
MAX_DEAD_LETTERS_SHOWN = 20
SPARKLINE_WIDTH, SPARKLINE_HEIGHT = 96, 24


def groups_view(model_admin: PageAdmin[DeadLetter], request: HttpRequest) -> HttpResponse:
    """Show the groups, the latest first."""
    status = request.GET.get("status", "open")
    if status not in STATUSES:
        status = "open"
    after = request.GET.get(CURSOR_PARAMETER, "")
    page = groups_page(
        status=status,  # type: ignore[arg-type]  # one of STATUSES
        job_name=request.GET.get("job_name") or None,
        queue_name=request.GET.get("queue_name") or None,
        after=after,
    )
    now = database_now()
    kept = {key: value for key in ("job_name", "queue_name") if (value := request.GET.get(key))}
    first = urlencode({**kept, "status": status})
    is_behind = gettext("Many dead letters have just come in; the numbers are still being counted.")
    context = model_admin.page_context(
        request,
        title=gettext("Dead letters by error"),
        statuses=[(f"?{urlencode({**kept, 'status': key})}", label, key == status) for key, label in STATUSES.items()],
        groups=[group_context(model_admin, request, group, now=now) for group in page.rows],
        paging=Paging(
            first_url=f"?{first}" if after else None,
            next_url=f"?{first}&{urlencode({CURSOR_PARAMETER: page.next_cursor})}" if page.next_cursor else None,
        ),
        note=is_behind if page.is_tail_truncated else "",
        list_url=model_admin.url("deadletter_changelist"),
    )
    return TemplateResponse(request, "admin/django_jobs/deadletter/groups.html", context)


def group_view(model_admin: PageAdmin[DeadLetter], request: HttpRequest, fingerprint: str) -> HttpResponse:
    """Show a group with its newest open dead letters, its note and its actions."""
    group = find_group(fingerprint)
    if group is None:
        raise Http404(gettext("No dead letter has this error."))
    dead_letters = DeadLetter.objects.filter(status=DeadLetter.Status.OPEN, fingerprint=fingerprint)
    newest = dead_letters.order_by("-pk").defer("traceback", "error_message")[:MAX_DEAD_LETTERS_SHOWN]
    list_url = f"{model_admin.url('deadletter_changelist')}?{urlencode({'fingerprint': fingerprint})}"
    mute_key = "unmute" if group.muted_at else "mute"
    context = model_admin.page_context(
        request,
        title=group.error_class.rpartition(".")[2] or group.reason,
        subtitle=group.job_name,
        trail=[(model_admin.url("deadlettergroups"), gettext("By error"))],
        group=group_context(model_admin, request, group, now=database_now()),
        dead_letters=[
            (
                model_admin.url("deadletter_change", dead_letter.pk),
                dead_letter.pk,
                format_timestamp(dead_letter.died_at),
            )
            for dead_letter in newest
        ],
        list_url=list_url,
        bulk_actions=bulk_action_links(model_admin, request, DeadLetterFilter(fingerprint=fingerprint)),
        mute_url=model_admin.url("deadlettergroup_act", fingerprint, mute_key),
        note_url=model_admin.url("deadlettergroup_act", fingerprint, "note")
        if has_permission(request, RESOLVE)
        else None,
    )
    return TemplateResponse(request, "admin/django_jobs/deadletter/group.html", context)


def action_view(model_admin: PageAdmin[DeadLetter], request: HttpRequest, fingerprint: str, key: str) -> HttpResponse:
    """Mute a group, unmute it or save its note, and return to its page."""
    if request.method != "POST" or key not in {"mute", "unmute", "note"}:
        raise Http404
    require_permission(request, RESOLVE)
    if key == "note":
        note = request.POST.get("note", "").strip()
        is_done = set_group_note(fingerprint, note=note, by=actor(request))
        text = gettext("Note saved.")
    elif key == "mute":
        is_done = bool(mute([fingerprint], by=actor(request)))
        text = gettext("Muted: no mails, and not listed as open.")
    else:
        is_done = bool(unmute([fingerprint]))
        text = gettext("Unmuted.")
    if is_done:
        model_admin.message_user(request, text, messages.SUCCESS)
        newest = DeadLetter.objects.filter(fingerprint=fingerprint).defer("traceback").order_by("-pk").first()
        if newest is not None:
            model_admin.log_change(request, newest, text)
    else:
        text = gettext("Nothing was changed: somebody else was faster.")
        model_admin.message_user(request, text, messages.WARNING)
    return HttpResponseRedirect(model_admin.url("deadlettergroup", fingerprint))


def group_context(
    model_admin: PageAdmin[DeadLetter], request: HttpRequest, group: GroupSummary, *, now: datetime
) -> dict[str, Any]:
    """Return a group as a template shows it."""
    return {
        "url": model_admin.url("deadlettergroup", group.fingerprint),
        "job_name": group.job_name,
        "error": group.error_class.rpartition(".")[2] or group.reason,
        "error_class": group.error_class,
        "message": group.error_message if has_permission(request, VIEW_ARGUMENTS) else "",
        "open": number_format(group.open, force_grouping=True),
        "total": number_format(group.total, force_grouping=True),
        "first": format_timestamp(group.first_died_at),
        "last": format_timestamp(group.last_died_at),
        "last_ago": gettext("%(time)s ago") % {"time": format_duration(now - group.last_died_at)},
        "is_muted": group.muted_at is not None,
        "muted_by": group.muted_by,
        "note": group.note,
        "noted_by": group.noted_by,
        "sparkline": sparkline(group.hours),
    }


def sparkline(numbers: tuple[int, ...]) -> dict[str, Any]:
    """Return the bars of a small chart as (x, y, width, height): one for each hour with a death, in 96 by 24."""
    highest = max(numbers, default=0)
    width = SPARKLINE_WIDTH / max(len(numbers), 1)
    bars = []
    for hour, number in enumerate(numbers):
        if number:
            height = max(round(number / highest * SPARKLINE_HEIGHT), 2)
            bars.append((round(hour * width, 1), SPARKLINE_HEIGHT - height, round(width - 1, 1), height))
    return {"bars": bars, "width": SPARKLINE_WIDTH, "height": SPARKLINE_HEIGHT, "total": sum(numbers)}
