"""The errors that jobs died of, one line each: how many, since when, how often lately; and a page for each."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

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
from ...policy.filter_values import FilterError
from ...store.clock import database_now
from ...store.dead_letters.groups import GroupSummary, find_group, groups_page
from ..jobs.labels import format_duration
from ..site.base import actor, format_timestamp
from ..site.paging import CURSOR_PARAMETER
from ..site.permissions import RESOLVE, VIEW_ARGUMENTS, has_permission, require_permission
from . import bulk_actions

if TYPE_CHECKING:
    from .admin import DeadLetterAdmin

STATUSES = {"open": _("Open"), "muted": _("Muted"), "all": _("All")}
MAX_DEAD_LETTERS_SHOWN = 20
SPARKLINE_WIDTH, SPARKLINE_HEIGHT = 96, 24


def groups_view(model_admin: DeadLetterAdmin, request: HttpRequest) -> HttpResponse:
    """Show the groups, the one that was seen last first."""
    status = request.GET.get("status", "open")
    if status not in STATUSES:
        status = "open"
    try:
        found = groups_page(
            status=status,  # type: ignore[arg-type]  # one of STATUSES
            job_name=request.GET.get("job_name") or None,
            queue_name=request.GET.get("queue_name") or None,
            after=request.GET.get(CURSOR_PARAMETER, ""),
        )
    except FilterError:
        return HttpResponseRedirect(request.path)
    now = database_now()
    kept = {key: value for key in ("job_name", "queue_name") if (value := request.GET.get(key))}
    older = {**kept, "status": status, CURSOR_PARAMETER: found.next_cursor} if found.next_cursor else None
    context = {
        **_context(model_admin, request),
        "title": gettext("Dead letters by error"),
        "statuses": [
            (f"?{urlencode({**kept, 'status': key})}", label, key == status)
            for key, label in STATUSES.items()
        ],
        "groups": [group_context(model_admin, request, group, now=now) for group in found.rows],
        "older": f"?{urlencode(older)}" if older else None,
        "is_truncated": found.is_tail_truncated,
    }
    return TemplateResponse(request, "admin/django_jobs/deadletter/groups.html", context)


def group_view(model_admin: DeadLetterAdmin, request: HttpRequest, fingerprint: str) -> HttpResponse:
    """Show one group with its newest open letters, its note, and what can be done to all of them."""
    group = find_group(fingerprint)
    if group is None:
        raise Http404(gettext("There is no letter of this error."))
    letters = DeadLetter.objects.filter(status=DeadLetter.Status.OPEN, fingerprint=fingerprint)
    newest = letters.order_by("-pk").defer("traceback", "error_message")[:MAX_DEAD_LETTERS_SHOWN]
    wanted = DeadLetterFilter(fingerprint=fingerprint)
    context = {
        **_context(model_admin, request),
        "title": group.error_class.rpartition(".")[2] or group.reason,
        "subtitle": group.job_name,
        "group": group_context(model_admin, request, group, now=database_now()),
        "letters": [(letter, format_timestamp(letter.died_at)) for letter in newest],
        "all_dead_letters_url": f"{model_admin.url('deadletter_changelist')}?{urlencode({'fingerprint': fingerprint})}",
        "matching": bulk_actions.bulk_action_links(model_admin, request, wanted),
        "mute_url": model_admin.url(
            "deadlettergroup_act", fingerprint, "unmute" if group.muted_at else "mute"
        ),
        "note_url": model_admin.url("deadlettergroup_act", fingerprint, "note"),
        "can_resolve": has_permission(request, RESOLVE),
    }
    return TemplateResponse(request, "admin/django_jobs/deadletter/group.html", context)


def action_view(
    model_admin: DeadLetterAdmin, request: HttpRequest, fingerprint: str, verb: str
) -> HttpResponse:
    """Mute, unmute or note, and go back."""
    if request.method != "POST" or verb not in {"mute", "unmute", "note"}:
        raise Http404
    require_permission(request, RESOLVE)
    if verb == "note":
        note = request.POST.get("note", "").strip()
        is_done = set_group_note(fingerprint, note=note, by=actor(request))
        said = gettext("The note is kept.")
    elif verb == "mute":
        is_done = bool(mute([fingerprint], by=actor(request)))
        said = gettext("Muted: no mails, and out of the open list.")
    else:
        is_done = bool(unmute([fingerprint]))
        said = gettext("No longer muted.")
    if is_done:
        model_admin.message_user(request, said, messages.SUCCESS)
        letter = DeadLetter.objects.filter(fingerprint=fingerprint).defer("traceback").order_by("-pk").first()
        if letter is not None:
            model_admin.log_change(request, letter, said)
    else:
        model_admin.message_user(
            request, gettext("Nothing was changed: somebody else was faster."), messages.WARNING
        )
    return HttpResponseRedirect(model_admin.url("deadlettergroup", fingerprint))


def group_context(
    model_admin: DeadLetterAdmin, request: HttpRequest, group: GroupSummary, *, now: datetime
) -> dict[str, Any]:
    """Return a group as a template shows it."""
    return {
        "address": model_admin.url("deadlettergroup", group.fingerprint),
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
        "spark": sparkline(group.hours),
        "lately": sum(group.hours),
    }


def sparkline(numbers: tuple[int, ...]) -> dict[str, Any]:
    """Return the bars of a small chart: (x, y, width, height) of each hour with a death, in a box of 96 by 24."""
    highest = max(numbers, default=0)
    width = SPARKLINE_WIDTH / max(len(numbers), 1)
    bars = []
    for at, number in enumerate(numbers):
        if number:
            height = max(round(number / highest * SPARKLINE_HEIGHT), 2)
            bars.append((round(at * width, 1), SPARKLINE_HEIGHT - height, round(width - 1, 1), height))
    return {"bars": bars, "width": SPARKLINE_WIDTH, "height": SPARKLINE_HEIGHT}


def _context(model_admin: DeadLetterAdmin, request: HttpRequest) -> dict[str, Any]:
    return {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "media": model_admin.media,
    }
