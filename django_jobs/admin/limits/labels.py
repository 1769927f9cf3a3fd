"""How limits are told on pages: their kinds, their rules, how far they are used, and what keeps them closed."""

from __future__ import annotations

from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from ...policy.limits import LimitKind, LimitRule, PermitPhase
from ...store.limits.search import MAX_COUNTED, LimitStatus
from ..site.base import format_timestamp

LIMIT_KIND_LABELS = {
    LimitKind.ORDER: _("order"),
    LimitKind.CONCURRENCY: _("concurrency"),
    LimitKind.BREAKER: _("breaker"),
    LimitKind.RATE: _("rate"),
}
PERMIT_PHASE_LABELS = {
    PermitPhase.ASLEEP: _("not yet needed"),
    PermitPhase.WAITING: _("waits"),
    PermitPhase.HELD: _("held"),
    PermitPhase.COOLING: _("still counts"),
}


def rule_text(rule: LimitRule) -> str:
    """Return what a limit allows, in the current language."""
    match rule.kind:
        case LimitKind.ORDER if rule.release_on_retry:
            return gettext("one after another; who failed steps aside")
        case LimitKind.ORDER:
            return gettext("one after another")
        case LimitKind.CONCURRENCY:
            return gettext("%(number)s at once") % {"number": _number(rule.capacity)}
        case LimitKind.BREAKER:
            text = ngettext(
                "opens for %(open)s after %(number)s failure in %(within)s",
                "opens for %(open)s after %(number)s failures in %(within)s",
                rule.failures,
            )
            spans = {
                "open": format_timespan(rule.open_seconds),
                "within": format_timespan(rule.within_seconds),
            }
            return text % {"number": _number(rule.failures), **spans}
        case LimitKind.RATE:
            values = {"number": _number(rule.capacity), "span": format_timespan(rule.window_seconds)}
            text = gettext("%(number)s in %(span)s")
            if rule.from_start:
                text = gettext("%(number)s in %(span)s, from the start of each run")
            return text % values


def format_timespan(seconds: float) -> str:
    """Return a span in the largest unit that it is a whole number of."""
    units = (
        (86400, gettext("%(number)s d")),
        (3600, gettext("%(number)s h")),
        (60, gettext("%(number)s min")),
    )
    for unit, text in units:
        if seconds >= unit and seconds % unit == 0:
            return text % {"number": _number(int(seconds // unit))}
    return gettext("%(number)s s") % {"number": f"{seconds:g}"}


def usage_text(shown: LimitStatus) -> str:
    """Return how many permits are in use, and of how many; a breaker has as many as are wanted."""
    if shown.rule.kind is LimitKind.BREAKER:
        return format_capped_count(shown.in_use)
    return f"{format_capped_count(shown.in_use)} / {_number(shown.rule.capacity)}"


def format_capped_count(number: int) -> str:
    """Return a number that was counted up to one more than MAX_COUNTED."""
    return _number(min(number, MAX_COUNTED)) + ("+" if number > MAX_COUNTED else "")


def limit_status_badge(shown: LimitStatus) -> str | SafeString:
    """Return what keeps everybody out, as a badge; nothing where there is no such thing."""
    if shown.is_closed:
        text = _("breaker open until") if shown.rule.kind is LimitKind.BREAKER else _("held back until")
        kind = "jobs-badge-bad"
    elif shown.limit.is_tripped:
        text, kind = _("breaker lets one try"), "jobs-badge-warn"
    else:
        return ""
    until = format_timestamp(shown.limit.closed_until) if shown.is_closed else ""
    return format_html('<span class="jobs-badge {}">{}</span> {}', kind, text, until)


def _number(number: int) -> str:
    return number_format(number, force_grouping=True)
