"""The past firings of a schedule: the last one, a strip of the last twenty, and a table with reasons."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from ...models import CronSchedule
from ...models.labels import TICK_OUTCOME_LABELS
from ...policy.schedule import TickOutcome
from ...store.schedules.recent_ticks import RecentTick, recent_ticks
from ..site.labels import state_label
from ..site.links import link_to, list_url, page_link, request_of
from ..site.page_admin import PageAdmin
from ..site.times import format_timestamp, time_text
from .ticks import late_text


def attach_ticks(schedules: list[CronSchedule]) -> None:
    """Give each schedule its newest ticks. Three statements."""
    ticks = recent_ticks([schedule.pk for schedule in schedules])
    for schedule in schedules:
        vars(schedule)["recent_ticks"] = ticks[schedule.pk]


def last_firing(model_admin: PageAdmin[Any], schedule: CronSchedule) -> str | SafeString:
    """Return when the schedule last enqueued a job, and the state of that job."""
    fired = next((recent for recent in _ticks(schedule) if recent.has_fired), None)
    if fired is None:
        return "-"
    return format_html("{} {}", _badge(model_admin, schedule, fired), format_timestamp(fired.tick.due_at))


def strip(schedule: CronSchedule) -> str | SafeString:
    """Return a bar for each of the newest ticks, the oldest first, with their number by state as a text."""
    ticks = _ticks(schedule)[::-1]
    if not ticks:
        return ""
    counts = Counter(_label(recent) for recent in ticks)
    label = ngettext("Last %(number)d tick: %(states)s", "Last %(number)d ticks: %(states)s", len(ticks)) % {
        "number": len(ticks),
        "states": ", ".join(f"{number} {state}" for state, number in counts.most_common()),
    }
    bars = ((_kind(recent), f"{time_text(recent.tick.due_at)}: {_label(recent)}") for recent in ticks)
    return format_html(
        '<span class="jobs-strip" role="img" aria-label="{}">{}</span>',
        label,
        format_html_join("", '<span class="job-{}" title="{}"></span>', bars),
    )


def table(model_admin: PageAdmin[Any], schedule: CronSchedule) -> str | SafeString:
    """Return the newest ticks with their reasons, and a link to all."""
    head = (_("due"), _("outcome"), _("late by"), _("reason"))
    rows = (
        (
            format_timestamp(recent.tick.due_at),
            _badge(model_admin, schedule, recent),
            late_text(recent.tick),
            recent.tick.reason,
        )
        for recent in _ticks(schedule)
    )
    all_ticks = list_url(request_of(schedule), model_admin.admin_site, "tick", f"schedule__id__exact={schedule.pk}")
    return format_html(
        '<div class="jobs-wide"><table><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>{}',
        format_html_join("", '<th scope="col">{}</th>', ((text,) for text in head)),
        format_html_join("", "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>", rows),
        link_to(all_ticks, _("All ticks")) if all_ticks else "",
    )


def _ticks(schedule: CronSchedule) -> list[RecentTick]:
    if "recent_ticks" not in vars(schedule):
        attach_ticks([schedule])
    ticks: list[RecentTick] = vars(schedule)["recent_ticks"]
    return ticks


def _label(recent: RecentTick) -> str:
    """Return how the job of a tick stands; the outcome of a tick without one."""
    if recent.job_state:
        return state_label(recent.job_state)
    if recent.has_fired:
        return gettext("job deleted")
    return str(TICK_OUTCOME_LABELS[TickOutcome(recent.tick.outcome)])


def _kind(recent: RecentTick) -> str:
    """Return the class of a tick in the stylesheet."""
    return recent.job_state or recent.tick.outcome


def _badge(model_admin: PageAdmin[Any], schedule: CronSchedule, recent: RecentTick) -> str | SafeString:
    badge = format_html('<span class="job-state job-{}">{}</span>', _kind(recent), _label(recent))
    if not recent.job_state:
        return badge
    return page_link(request_of(schedule), model_admin.admin_site, "job", recent.tick.job_id, badge)
