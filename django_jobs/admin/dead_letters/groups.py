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
from ...policy.dead_letter_filter import LetterFilter
from ...store.clock import database_now
from ...store.dead_letters.groups import Group, GroupPosition, find_group, groups_page
from ...store.dead_letters.mute import mute, note_group, unmute
from ..jobs.labels import duration_words
from ..site.base import actor, exactly
from ..site.permissions import RESOLVE, VIEW_ARGUMENTS, may, require
from . import bulk_actions

if TYPE_CHECKING:
    from .admin import DeadLetterAdmin

STATUSES = {"open": _("Open"), "muted": _("Muted"), "all": _("All")}
SHOWN_LETTERS = 20
SPARK_WIDTH, SPARK_HEIGHT = 96, 24


def groups_view(page: DeadLetterAdmin, request: HttpRequest) -> HttpResponse:
    """Show the groups, the one that was seen last first."""
    status = request.GET.get("status", "open")
    if status not in STATUSES:
        status = "open"
    found = groups_page(
        status=status,  # type: ignore[arg-type]  # one of STATUSES
        job_name=request.GET.get("job_name") or None,
        queue_name=request.GET.get("queue_name") or None,
        before=GroupPosition.parse(request.GET.get("before", "")),
    )
    now = database_now()
    kept = {key: value for key in ("job_name", "queue_name") if (value := request.GET.get(key))}
    older = {**kept, "status": status, "before": str(found.older)} if found.older else None
    context = {
        **_context(page, request),
        "title": gettext("Dead letters by error"),
        "statuses": [
            (f"?{urlencode({**kept, 'status': key})}", label, key == status)
            for key, label in STATUSES.items()
        ],
        "groups": [shown_group(page, request, group, now=now) for group in found.groups],
        "older": f"?{urlencode(older)}" if older else None,
        "is_cut": found.is_tail_cut,
    }
    return TemplateResponse(request, "admin/django_jobs/deadletter/groups.html", context)


def group_view(page: DeadLetterAdmin, request: HttpRequest, fingerprint: str) -> HttpResponse:
    """Show one group with its newest open letters, its note, and what can be done to all of them."""
    group = find_group(fingerprint)
    if group is None:
        raise Http404(gettext("There is no letter of this error."))
    letters = DeadLetter.objects.filter(status=DeadLetter.Status.OPEN, fingerprint=fingerprint)
    newest = letters.order_by("-pk").defer("traceback", "error_message")[:SHOWN_LETTERS]
    wanted = LetterFilter(fingerprint=fingerprint)
    context = {
        **_context(page, request),
        "title": group.error_class.rpartition(".")[2] or group.reason,
        "subtitle": group.job_name,
        "group": shown_group(page, request, group, now=database_now()),
        "letters": [(one, exactly(one.died_at)) for one in newest],
        "all_letters": f"{page.url('deadletter_changelist')}?{urlencode({'fingerprint': fingerprint})}",
        "matching": bulk_actions.links(page, request, wanted),
        "mute_address": page.url("deadlettergroup_act", fingerprint, "unmute" if group.muted_at else "mute"),
        "note_address": page.url("deadlettergroup_act", fingerprint, "note"),
        "can_resolve": may(request, RESOLVE),
    }
    return TemplateResponse(request, "admin/django_jobs/deadletter/group.html", context)


def act_view(page: DeadLetterAdmin, request: HttpRequest, fingerprint: str, verb: str) -> HttpResponse:
    """Mute, unmute or note, and go back."""
    if request.method != "POST" or verb not in {"mute", "unmute", "note"}:
        raise Http404
    require(request, RESOLVE)
    if verb == "note":
        note = request.POST.get("note", "").strip()
        is_done = note_group(fingerprint, note=note, by=actor(request))
        said = gettext("The note is kept.")
    elif verb == "mute":
        is_done = bool(mute([fingerprint], by=actor(request)))
        said = gettext("Muted: no mails, and out of the open list.")
    else:
        is_done = bool(unmute([fingerprint]))
        said = gettext("No longer muted.")
    if is_done:
        page.message_user(request, said, messages.SUCCESS)
        letter = DeadLetter.objects.filter(fingerprint=fingerprint).defer("traceback").order_by("-pk").first()
        if letter is not None:
            page.log_change(request, letter, said)
    else:
        page.message_user(
            request, gettext("Nothing was changed: somebody else was faster."), messages.WARNING
        )
    return HttpResponseRedirect(page.url("deadlettergroup", fingerprint))


def shown_group(
    page: DeadLetterAdmin, request: HttpRequest, group: Group, *, now: datetime
) -> dict[str, Any]:
    """Return a group as a template shows it."""
    return {
        "address": page.url("deadlettergroup", group.fingerprint),
        "job_name": group.job_name,
        "error": group.error_class.rpartition(".")[2] or group.reason,
        "error_class": group.error_class,
        "message": group.error_message if may(request, VIEW_ARGUMENTS) else "",
        "open": number_format(group.open, force_grouping=True),
        "total": number_format(group.total, force_grouping=True),
        "first": exactly(group.first_died_at),
        "last": exactly(group.last_died_at),
        "last_ago": gettext("%(time)s ago") % {"time": duration_words(now - group.last_died_at)},
        "is_muted": group.muted_at is not None,
        "muted_by": group.muted_by,
        "note": group.note,
        "noted_by": group.noted_by,
        "spark": spark(group.hours),
        "lately": sum(group.hours),
    }


def spark(numbers: tuple[int, ...]) -> dict[str, Any]:
    """Return the bars of a small chart: (x, y, width, height) of each hour with a death, in a box of 96 by 24."""
    most = max(numbers, default=0)
    width = SPARK_WIDTH / max(len(numbers), 1)
    bars = []
    for at, number in enumerate(numbers):
        if number:
            height = max(round(number / most * SPARK_HEIGHT), 2)
            bars.append((round(at * width, 1), SPARK_HEIGHT - height, round(width - 1, 1), height))
    return {"bars": bars, "width": SPARK_WIDTH, "height": SPARK_HEIGHT}


def _context(page: DeadLetterAdmin, request: HttpRequest) -> dict[str, Any]:
    return {**page.admin_site.each_context(request), "opts": page.opts, "media": page.media}
