"""The one way to write an instant in the admin: the time today, the date otherwise, and how far away it is."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, pgettext


def format_timestamp(
    value: datetime | None,
    *,
    now: datetime | None = None,
    zone: tzinfo | None = None,
    is_precise: bool = False,
    is_relative: bool = True,
) -> str | SafeString:
    """Return an instant as a ``<time>`` element, "-" for None.

    Its text is ``18:22:40`` today and ``28 Nov 18:22`` otherwise, in ``zone`` or the current time zone. How far away it
    is follows in brackets. The element's title has the date, milliseconds and the zone. ``is_precise`` shows
    milliseconds at any day.
    """
    if value is None:
        return "-"
    now = now or timezone.now()
    local = timezone.localtime(value, zone)
    element = format_html(
        '<time datetime="{}" title="{}">{}</time>',
        local.isoformat(timespec="milliseconds"),
        f"{local:%Y-%m-%d %H:%M:%S}.{local.microsecond // 1000:03d} {local.tzname()}",
        time_text(value, now=now, zone=zone, is_precise=is_precise),
    )
    if not is_relative:
        return element
    return format_html('{} <span class="jobs-ago">({})</span>', element, relative_text(value, now=now))


def time_text(
    value: datetime, *, now: datetime | None = None, zone: tzinfo | None = None, is_precise: bool = False
) -> str:
    """Return the text of an instant, for messages and scripts that take no HTML."""
    local = timezone.localtime(value, zone)
    today = timezone.localtime(now or timezone.now(), zone)
    if is_precise:
        time = f"{local:%H:%M:%S}.{local.microsecond // 1000:03d}"
        return time if local.date() == today.date() else f"{_date(local, today)} {time}"
    return f"{local:%H:%M:%S}" if local.date() == today.date() else f"{_date(local, today)} {local:%H:%M}"


def format_minute(value: datetime, *, now: datetime) -> SafeString:
    """Return a forecast instant as a ``<time>`` element: to the minute, with how far away it is on hover."""
    local = timezone.localtime(value)
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        local.isoformat(timespec="minutes"),
        f"{local:%Y-%m-%d %H:%M} {local.tzname()}, {relative_text(value, now=now)}",
        minute_text(value, now=now),
    )


def minute_text(value: datetime, *, now: datetime) -> str:
    """Return an instant to the minute, with its date unless it is today."""
    local, today = timezone.localtime(value), timezone.localtime(now)
    return f"{local:%H:%M}" if local.date() == today.date() else f"{_date(local, today)} {local:%H:%M}"


def relative_text(value: datetime, *, now: datetime) -> str:
    """Return how far away an instant is, such as "3 min ago" or "in 2 h 5 min"."""
    distance = now - value
    if abs(distance) < timedelta(seconds=1):
        return gettext("now")
    text = gettext("in %(time)s") if distance < timedelta(0) else gettext("%(time)s ago")
    return text % {"time": _rough(abs(distance))}


def zone_text(now: datetime) -> str:
    """Return the current time zone's name, and its abbreviation at that instant if that says more."""
    name, short = timezone.get_current_timezone_name(), timezone.localtime(now).tzname() or ""
    return name if short in name else f"{name} ({short})"


def day_text(local: datetime) -> str:
    """Return the day and the month, as the current language writes them: "30 Nov"."""
    return date_format(local, pgettext("format of a date", "j M"))


def _date(local: datetime, today: datetime) -> str:
    if local.year == today.year:
        return day_text(local)
    return date_format(local, pgettext("format of a date", "j M Y"))


def _rough(duration: timedelta) -> str:
    """Return a duration in whole units: seconds, minutes, hours and minutes, days."""
    seconds = int(duration.total_seconds())
    if seconds < 60:
        return gettext("%(number)d s") % {"number": seconds}
    if seconds < 3600:
        return gettext("%(number)d min") % {"number": seconds // 60}
    if seconds < 86400:
        return gettext("%(number)d h %(rest)d min") % {"number": seconds // 3600, "rest": seconds % 3600 // 60}
    return gettext("%(number)d d") % {"number": seconds // 86400}
