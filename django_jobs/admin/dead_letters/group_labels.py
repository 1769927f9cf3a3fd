"""Groups of dead letters as templates show them: figures, the state and a sentence about it, a sparkline."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, pgettext_lazy

from ...policy.error_text import class_name, class_text
from ...policy.group_states import GroupState
from ...store.dead_letters.groups import GroupSummary
from ...store.dead_letters.triage import TriagedGroup
from ...store.deploys import DeployedRelease
from ..deploys import new_since_text
from ..site.labels import format_duration
from ..site.permissions import VIEW_ARGUMENTS, has_permission
from ..site.sparkline import sparkline
from ..site.times import format_timestamp

STATE_LABELS = {
    GroupState.REGRESSED: pgettext_lazy("state of an error", "came back"),
    GroupState.NEW: pgettext_lazy("state of an error", "new"),
    GroupState.RISING: pgettext_lazy("state of an error", "rising"),
    GroupState.ONGOING: pgettext_lazy("state of an error", "ongoing"),
    GroupState.MUTED: pgettext_lazy("state of an error", "muted"),
    GroupState.RESOLVED: pgettext_lazy("state of an error", "resolved"),
    GroupState.CLOSED: pgettext_lazy("state of an error", "none open"),
}
BADGES = {
    GroupState.REGRESSED: "jobs-badge-bad",
    GroupState.NEW: "jobs-badge-warn",
    GroupState.RISING: "jobs-badge-warn",
}


def group_context(
    request: HttpRequest, triaged: TriagedGroup, *, now: datetime, deploys: Sequence[DeployedRelease]
) -> dict[str, Any]:
    """Return a group for ``deadletter/triage_list.html`` and ``deadletter/evidence.html``.

    ``deploys``: the newest ones, the newest first.
    """
    group = triaged.group
    return {
        "fingerprint": group.fingerprint,
        "job_name": group.job_name,
        "error": class_name(group.error_class) or group.reason,
        "error_class": class_text(group.error_class),
        "message": group.error_message if has_permission(request, VIEW_ARGUMENTS) else "",
        "state": triaged.state.value,
        "state_label": STATE_LABELS[triaged.state],
        "badge": BADGES.get(triaged.state, ""),
        "new_since": new_since_text(group.first_died_at, deploys),
        "sentence": state_sentence(triaged, now=now),
        "open": number_format(group.open, force_grouping=True),
        "total": number_format(group.total, force_grouping=True),
        "first": format_timestamp(group.first_died_at, now=now),
        "last": format_timestamp(group.last_died_at, now=now),
        "is_muted": group.muted_at is not None,
        "note": group.note,
        "noted_by": group.noted_by,
        "sparkline": sparkline(group.hours),
    }


def state_sentence(triaged: TriagedGroup, *, now: datetime) -> str | SafeString:
    """Return what the state is about: who resolved it and when it came back, how much it has risen."""
    group, rates = triaged.group, triaged.rates
    match triaged.state:
        case GroupState.REGRESSED:
            return _regression(group, now)
        case GroupState.NEW:
            return format_html(
                gettext("New: it first died {time}."), time=format_timestamp(group.first_died_at, now=now)
            )
        case GroupState.RISING if rates.is_hour_rising:
            text = gettext("Rising: %(now)s in an hour; at most %(before)s in an hour of the week before.")
            return text % {"now": _number(rates.hour), "before": _number(rates.hour_before)}
        case GroupState.RISING:
            text = gettext("Rising: %(now)s in the last day; at most %(before)s a day in the week before.")
            return text % {"now": _number(rates.day), "before": _number(rates.day_before)}
        case GroupState.MUTED:
            return _by(gettext("Muted by {by} {time}."), gettext("Muted {time}."), group.muted_by, group.muted_at, now)
        case GroupState.RESOLVED:
            return _resolved(group, now)
        case GroupState.CLOSED:
            return gettext(
                "None is open. It was not resolved as a whole, so a new dead letter does not count as coming back."
            )
        case GroupState.ONGOING:
            return ""


def _regression(group: GroupSummary, now: datetime) -> str | SafeString:
    if group.resolved_at is None or group.regressed_at is None:
        return _resolved(group, now)
    after = group.regressed_at - group.resolved_at
    if after.total_seconds() < 1:
        back = gettext("It came back at once.")
    else:
        back = gettext("It came back after %(time)s.") % {"time": format_duration(after)}
    return format_html("{} {}", _resolved(group, now), back)


def _resolved(group: GroupSummary, now: datetime) -> str | SafeString:
    return _by(
        gettext("Resolved by {by} {time}."), gettext("Resolved {time}."), group.resolved_by, group.resolved_at, now
    )


def _by(text: str, anonymous: str, by: str, at: datetime | None, now: datetime) -> str | SafeString:
    return format_html(text if by else anonymous, by=by, time=format_timestamp(at, now=now))


def _number(number: int) -> str:
    return number_format(number, force_grouping=True)
