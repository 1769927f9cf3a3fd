"""Labels of limits: rule, use, and why one is closed."""

from __future__ import annotations

from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from ...policy.limits import LimitKind, LimitRule
from ...store.limits.search import MAX_COUNTED, LimitStatus
from ..site.times import format_timestamp


def rule_text(rule: LimitRule) -> str:
    """Return a rule in the current language."""
    match rule.kind:
        case LimitKind.ORDER if rule.release_on_retry:
            return gettext("one at a time; released on retry")
        case LimitKind.ORDER if rule.hold_when_dead:
            return gettext("one at a time; a dead job holds the others back")
        case LimitKind.ORDER:
            return gettext("one at a time")
        case LimitKind.CONCURRENCY:
            return gettext("%(number)s at a time") % {"number": _number(rule.capacity)}
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
            text = gettext("%(number)s per %(span)s")
            if rule.from_start:
                text = gettext("%(number)s per %(span)s, from the start of each run")
            return text % values


def format_timespan(seconds: float) -> str:
    """Return a duration in the largest unit of which it is a whole number."""
    units = (
        (86400, gettext("%(number)s d")),
        (3600, gettext("%(number)s h")),
        (60, gettext("%(number)s min")),
    )
    for unit, text in units:
        if seconds >= unit and seconds % unit == 0:
            return text % {"number": _number(int(seconds // unit))}
    return gettext("%(number)s s") % {"number": f"{seconds:g}"}


def usage_text(status: LimitStatus) -> str:
    """Return the permits in use, and of how many; a circuit breaker has no maximum."""
    if status.rule.kind is LimitKind.BREAKER:
        return format_capped_count(status.in_use)
    return f"{format_capped_count(status.in_use)} / {_number(status.rule.capacity)}"


def format_capped_count(number: int) -> str:
    """Return a number that was counted up to MAX_COUNTED and one."""
    return _number(min(number, MAX_COUNTED)) + ("+" if number > MAX_COUNTED else "")


def limit_status_badge(status: LimitStatus) -> str | SafeString:
    """Return why the limit is closed as a badge, empty if it is open."""
    if status.is_closed:
        text = _("circuit breaker open until") if status.rule.kind is LimitKind.BREAKER else _("closed until")
        kind = "jobs-badge-bad"
    elif status.limit.is_tripped:
        text, kind = _("circuit breaker half-open"), "jobs-badge-warn"
    else:
        return ""
    until = format_timestamp(status.limit.closed_until) if status.is_closed else ""
    return format_html('<span class="jobs-badge {}">{}</span> {}', kind, text, until)


def _number(number: int) -> str:
    return number_format(number, force_grouping=True)
