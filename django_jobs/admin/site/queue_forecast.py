"""Forecast of a queue in words: what becomes of its waiting jobs, as a text or with a ``<time>`` element."""

from __future__ import annotations

from datetime import datetime

from django.utils.safestring import SafeString

from ...policy.forecast import Forecast
from ...reasons import render_forecast, render_forecast_html
from .numbers import rounded_text
from .times import format_minute, minute_text


def forecast_text(forecast: Forecast, *, now: datetime, with_number: bool) -> str:
    """Return it as plain text: "10,400 waiting, empty at 19:14"."""
    return render_forecast(
        forecast, instant=lambda at: minute_text(at, now=now), number=number_text, with_number=with_number
    )


def forecast_html(forecast: Forecast, *, now: datetime, with_number: bool) -> SafeString:
    """Return it with a ``<time>`` element, whose title is the exact instant."""
    return render_forecast_html(
        forecast, instant=lambda at: format_minute(at, now=now), number=number_text, with_number=with_number
    )


def number_text(number: float) -> str:
    """Return a number as the current language writes it, with one decimal below 1."""
    return rounded_text(number, decimals=1 if 0 < number < 1 else 0)
