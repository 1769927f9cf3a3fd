"""The next firings of a schedule, also before it is saved: what the form has, in words and as instants."""

from __future__ import annotations

from datetime import datetime
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from django.http import HttpRequest, JsonResponse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.timezone import get_current_timezone_name
from django.utils.translation import gettext

from ...models import CronSchedule
from ...policy.cron import CronError
from ...policy.cron_words import describe_cron
from ...policy.schedule import Timing
from ...store.clock import database_now
from ..site.labels import format_duration
from ..site.page_admin import PageAdmin
from ..site.times import format_timestamp
from .form import TimingForm

MAX_FIRINGS_SHOWN = 5


def preview(timing: Timing) -> SafeString:
    """Return the next instants of a timing in its own zone, or the error in it. At most one statement."""
    try:
        instants = list(islice(timing.upcoming(database_now()), MAX_FIRINGS_SHOWN))
    except CronError as error:
        return format_html("<p>{}</p>", str(error))
    meaning = describe_cron(timing.cron, every=timing.every)
    jitter = gettext("Each up to %(time)s later.") % {"time": format_duration(timing.jitter)} if timing.jitter else ""
    return format_html(
        "{}<ol>{}</ol>{}",
        format_html("<p>{}</p>", meaning) if meaning else "",
        format_html_join("", "<li>{}</li>", ((in_zone(instant, timing),) for instant in instants)),
        format_html("<p>{}</p>", jitter) if jitter else "",
    )


def preview_view(model_admin: PageAdmin[Any], request: HttpRequest) -> JsonResponse:
    """Return the preview of the form in the address as JSON: ``html``."""
    form = TimingForm(request.GET)
    if form.is_valid():
        html = preview(form.timing)
    else:
        html = format_html_join("", "<p>{}</p>", ((text,) for texts in form.errors.values() for text in texts))
    response = JsonResponse({"html": html})
    response["Cache-Control"] = "no-store"
    return response


def in_zone(instant: datetime, schedule: Timing | CronSchedule) -> str | SafeString:
    """Return an instant in the zone of a schedule's expression, which is named if it is not the page's own."""
    if not schedule.cron or schedule.timezone == get_current_timezone_name():
        return format_timestamp(instant)
    try:
        time = format_timestamp(instant, zone=ZoneInfo(schedule.timezone))
        return format_html("{} {}", time, schedule.timezone)
    except (KeyError, ValueError, OSError):
        return format_timestamp(instant)
