"""How limits are told on pages: their kinds, their rules, how far they are used, and what keeps them closed."""

from __future__ import annotations

from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from ...policy.limits import Kind, Phase, Rule
from ...store.limits.search import MOST_COUNTED, ShownLimit
from ..site.base import exactly

KINDS = {
    Kind.ORDER: _("order"),
    Kind.CONCURRENCY: _("concurrency"),
    Kind.BREAKER: _("breaker"),
    Kind.RATE: _("rate"),
}
PHASES = {
    Phase.ASLEEP: _("not yet needed"),
    Phase.WAITING: _("waits"),
    Phase.HELD: _("held"),
    Phase.COOLING: _("still counts"),
}


def rule_words(rule: Rule) -> str:
    """Return what a limit allows, in the current language."""
    match rule.kind:
        case Kind.ORDER if rule.steps_aside:
            return gettext("one after another; who failed steps aside")
        case Kind.ORDER:
            return gettext("one after another")
        case Kind.CONCURRENCY:
            return gettext("%(number)s at once") % {"number": _number(rule.capacity)}
        case Kind.BREAKER:
            text = ngettext(
                "opens for %(open)s after %(number)s failure in %(within)s",
                "opens for %(open)s after %(number)s failures in %(within)s",
                rule.failures,
            )
            spans = {"open": span_words(rule.open_seconds), "within": span_words(rule.within_seconds)}
            return text % {"number": _number(rule.failures), **spans}
        case Kind.RATE:
            values = {"number": _number(rule.capacity), "span": span_words(rule.window_seconds)}
            text = gettext("%(number)s in %(span)s")
            if rule.from_start:
                text = gettext("%(number)s in %(span)s, from the start of each run")
            return text % values


def span_words(seconds: float) -> str:
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


def use_words(shown: ShownLimit) -> str:
    """Return how many permits are in use, and of how many; a breaker has as many as are wanted."""
    if shown.rule.kind is Kind.BREAKER:
        return counted_words(shown.in_use)
    return f"{counted_words(shown.in_use)} / {_number(shown.rule.capacity)}"


def counted_words(number: int) -> str:
    """Return a number that was counted up to one more than MOST_COUNTED."""
    return _number(min(number, MOST_COUNTED)) + ("+" if number > MOST_COUNTED else "")


def standing_words(shown: ShownLimit) -> str | SafeString:
    """Return what keeps everybody out, as a badge; nothing where there is no such thing."""
    if shown.is_closed:
        text = _("breaker open until") if shown.rule.kind is Kind.BREAKER else _("held back until")
        kind = "jobs-badge-bad"
    elif shown.limit.is_tripped:
        text, kind = _("breaker lets one try"), "jobs-badge-warn"
    else:
        return ""
    until = exactly(shown.limit.closed_until) if shown.is_closed else ""
    return format_html('<span class="jobs-badge {}">{}</span> {}', kind, text, until)


def _number(number: int) -> str:
    return number_format(number, force_grouping=True)
