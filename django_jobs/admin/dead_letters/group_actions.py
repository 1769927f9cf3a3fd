"""Actions of staff on a group of dead letters, each a button with a key: mute, resolve, undo, note, bulk actions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.formats import number_format
from django.utils.http import urlencode
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from ...models import DeadLetter
from ...operations import mute, resolve_group, set_group_note, undo_resolve_group, unmute
from ...policy.dead_letter_filter import DeadLetterFilter
from ...policy.group_states import GroupState
from ...store.dead_letters.resolve_group import MAX_UNDONE, is_too_large_to_undo
from ...store.dead_letters.triage import TriagedGroup
from ..bulk.confirm import bulk_url
from ..bulk.options import PRESET
from ..site.page_admin import PageAdmin, actor
from ..site.permissions import PURGE_DEAD_LETTERS, REDRIVE, RESOLVE, has_permission, require_permission
from .bulk_actions import SUBJECT

MAX_RESOLVED_AT_ONCE = 1_000
"""Groups with more open dead letters are resolved by a background job."""


def shortcut_rows(request: HttpRequest) -> list[tuple[str, Any]]:
    """Return (key, meaning) of the keys that the user may use."""
    shortcuts = (
        ("j", _("Next error"), ""),
        ("k", _("Previous error"), ""),
        ("o", _("Open: go to its evidence"), ""),
        ("r", _("Redrive 10 first, after a question"), REDRIVE),
        ("e", _("Resolve"), RESOLVE),
        ("m", _("Mute or unmute"), RESOLVE),
        ("p", _("Purge, after a question"), PURGE_DEAD_LETTERS),
        ("u", _("Undo the last resolve or mute"), RESOLVE),
        ("?", _("Show these keys"), ""),
    )
    return [
        (key, label) for key, label, permission in shortcuts if not permission or has_permission(request, permission)
    ]


def group_buttons(
    model_admin: PageAdmin[DeadLetter], request: HttpRequest, triaged: TriagedGroup, *, query: str, can_undo: bool
) -> list[dict[str, Any]]:
    """Return the buttons that the user may press, for ``deadletter/evidence.html``: forms, or links to a question."""
    group = triaged.group
    wanted = DeadLetterFilter(fingerprint=group.fingerprint)
    is_open = group.open > 0
    buttons: list[dict[str, Any]] = []

    def link(key: str, action: str, label: Any = None, **parameters: Any) -> None:
        bulk = SUBJECT.actions[action]
        if is_open and has_permission(request, bulk.permission):
            url = bulk_url(model_admin, SUBJECT, action, wanted)
            url += f"&{urlencode(parameters)}" if parameters else ""
            label = bulk.bulk_label if label is None else label
            buttons.append({"key": key, "label": label, "url": url, "is_destructive": bulk.is_destructive})

    def form(key: str, action: str, label: Any, undoes: str) -> None:
        if has_permission(request, RESOLVE):
            url = model_admin.url("deadlettergroup_act", group.fingerprint, action) + query
            buttons.append({"key": key, "label": label, "action": action, "url": url, "undoes": undoes})

    link("r", "redrive", _("Redrive 10 first"), first=PRESET)
    link("", "redrive")
    if group.open > MAX_RESOLVED_AT_ONCE:
        link("e", "resolve")
    elif is_open or triaged.state is GroupState.CLOSED:
        form("e", "resolve", _("Resolve"), undoes="undo")
    if triaged.state is GroupState.RESOLVED and can_undo:
        form("u", "undo", _("Undo"), undoes="resolve")
    if group.muted_at is None:
        form("m", "mute", _("Mute"), undoes="unmute")
    else:
        form("m", "unmute", _("Unmute"), undoes="mute")
    link("p", "purge")
    return buttons


def undo_note(request: HttpRequest, triaged: TriagedGroup) -> str:
    """Return why the resolution of a group cannot be undone, an empty text if it can. Two statements if resolved."""
    is_asked = triaged.state is GroupState.RESOLVED and has_permission(request, RESOLVE)
    if not (is_asked and is_too_large_to_undo(triaged.group.fingerprint)):
        return ""
    text = gettext("Its resolution closed more than %(number)s dead letters and cannot be undone.")
    return text % {"number": number_format(MAX_UNDONE, force_grouping=True)}


def action_view(model_admin: PageAdmin[DeadLetter], request: HttpRequest, fingerprint: str, key: str) -> HttpResponse:
    """Mute, unmute, resolve or annotate a group, or undo that it was resolved; return to its page."""
    if request.method != "POST" or key not in _ACTIONS:
        raise Http404
    require_permission(request, RESOLVE)
    text = _ACTIONS[key](request, fingerprint)
    if text:
        model_admin.message_user(request, text, messages.SUCCESS)
        newest = DeadLetter.objects.filter(fingerprint=fingerprint).defer("traceback").order_by("-pk").first()
        if newest is not None:
            model_admin.log_change(request, newest, text)
    else:
        text = gettext("Nothing was changed: somebody else was faster.")
        if key == "undo":
            text = gettext("Not undone: the error came back, or more than 1,000 dead letters were resolved.")
        model_admin.message_user(request, text, messages.WARNING)
    query = request.GET.urlencode()
    return HttpResponseRedirect(model_admin.url("deadlettergroup", fingerprint) + (f"?{query}" if query else ""))


def _note(request: HttpRequest, fingerprint: str) -> str:
    note = request.POST.get("note", "").strip()
    return gettext("Note saved.") if set_group_note(fingerprint, note=note, by=actor(request)) else ""


def _mute(request: HttpRequest, fingerprint: str) -> str:
    is_muted = mute([fingerprint], by=actor(request))
    return gettext("Muted: no mails, and not listed as open.") if is_muted else ""


def _unmute(request: HttpRequest, fingerprint: str) -> str:
    return gettext("Unmuted.") if unmute([fingerprint]) else ""


def _resolve(request: HttpRequest, fingerprint: str) -> str:
    resolution = resolve_group(fingerprint, by=actor(request))
    if not resolution.is_recorded:
        return ""
    text = ngettext(
        "Resolved: %(number)s dead letter is closed. If the error comes back, it is on top of the list.",
        "Resolved: %(number)s dead letters are closed. If the error comes back, it is on top of the list.",
        resolution.closed,
    )
    return text % {"number": resolution.closed}


def _undo(request: HttpRequest, fingerprint: str) -> str:
    reopened = undo_resolve_group(fingerprint)
    if reopened is None:
        return ""
    text = ngettext(
        "Undone: %(number)s dead letter is open again.", "Undone: %(number)s dead letters are open again.", reopened
    )
    return text % {"number": reopened}


_ACTIONS: dict[str, Callable[[HttpRequest, str], str]] = {
    "mute": _mute,
    "unmute": _unmute,
    "note": _note,
    "resolve": _resolve,
    "undo": _undo,
}
"""Each returns what it did, an empty text if nothing was changed."""
