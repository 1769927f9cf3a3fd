"""Render in words why a job is not running, and whether a queue keeps up: policies' answers, translated."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.utils.html import conditional_escape
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext_lazy as _

from .policy.forecast import Forecast, Trend
from .policy.why_not_running import WaitExplanation, WaitReason
from .redaction import limit_label

REASON_TEXTS = {
    WaitReason.WAITS_FOR_A_JOB: _("Waiting for another job to finish."),
    WaitReason.AT_RATE: _(
        "Waiting for the rate limit %(limit)s: %(used)s of %(capacity)s permits in use, the next is free at %(free)s."
    ),
    WaitReason.AT_RATE_IN_USE: _(
        "Waiting for the rate limit %(limit)s: %(used)s of %(capacity)s permits in use by unfinished jobs; the next is"
        " free some time after one of them finishes."
    ),
    WaitReason.AT_CONCURRENCY: _(
        "Waiting for the concurrency limit %(limit)s: %(used)s of %(capacity)s permits in use, by jobs %(holders)s."
    ),
    WaitReason.IN_ORDER_RUNNING: _(
        "Waiting for its turn in the order of %(limit)s: job %(holder)s is ahead and running."
    ),
    WaitReason.IN_ORDER_NEXT_ATTEMPT: _(
        "Waiting for its turn in the order of %(limit)s: job %(holder)s is ahead, its next attempt is due at %(due)s."
    ),
    WaitReason.IN_ORDER_WAITS: _(
        "Waiting for its turn in the order of %(limit)s: job %(holder)s is ahead and has not started."
    ),
    WaitReason.IN_ORDER_DEAD: _(
        "Waiting for its turn in the order of %(limit)s: job %(holder)s is ahead and dead. Redrive it, or resolve its"
        " dead letter to go on without it."
    ),
    WaitReason.BREAKER_OPEN: _(
        "The circuit breaker of %(limit)s is open after failures: no job starts before %(until)s, then one trial job."
    ),
    WaitReason.BREAKER_HALF_OPEN: _(
        "The circuit breaker of %(limit)s is half-open: the outcome of trial job %(holders)s decides."
    ),
    WaitReason.LIMIT_CLOSED: _("The called server asked for a pause: no job of %(limit)s starts before %(until)s."),
    WaitReason.ADMITTED: _("Waiting at a limit; a worker is about to admit it."),
    WaitReason.ADMITTED_NO_WORKER: _("Waiting at a limit, and no worker is alive to admit it."),
    WaitReason.WAITS_FOR_JOBS: _("Waiting for these jobs to succeed: %(jobs)s."),
    WaitReason.WAITS_FOR_DEAD: _("Waiting for dead jobs: %(jobs)s. Retry them; it continues once they succeed."),
    WaitReason.NAME_UNKNOWN: _(
        "No worker has known a job named %(name)s since %(since)s. Workers are asked again at %(due)s."
    ),
    WaitReason.NAME_UNKNOWN_DUE: _(
        "No worker has known a job named %(name)s since %(since)s. It is ready, and workers are asked again."
    ),
    WaitReason.NOT_DUE: _("Scheduled for %(due)s."),
    WaitReason.RETRY_DUE: _("The last attempt did not succeed; attempt %(next)s of %(max)s is due at %(due)s."),
    WaitReason.SNOOZED: _("Snoozed until %(due)s."),
    WaitReason.DUE: _("Due since %(due)s; a worker is about to make it ready."),
    WaitReason.DUE_NO_WORKER: _("Due since %(due)s, but no worker is alive to make it ready."),
    WaitReason.PAUSED: _("The queue %(queue)s has been paused by %(by)s since %(since)s."),
    WaitReason.SUSPENDED: _(
        "The broker of the queue %(queue)s does not answer; one message is sent as a test at about %(due)s."
    ),
    WaitReason.NO_WORKER: _("Ready, but no worker is alive."),
    WaitReason.NOT_SERVED: _("Ready, but no live worker serves the queue %(queue)s."),
    WaitReason.BEHIND: _("Ready, behind %(number)s other jobs in the queue %(queue)s."),
    WaitReason.BEHIND_MANY: _("Ready, behind more than %(number)s other jobs in the queue %(queue)s."),
    WaitReason.FIRST: _("Ready and first in the queue %(queue)s: the next free worker claims it."),
    WaitReason.RUNS: _("Running since %(since)s on %(worker)s, last heartbeat at %(heard)s."),
    WaitReason.IN_HAND: _(
        "In hand: claimed by %(worker)s at %(since)s, and not begun when that reported last, at %(heard)s."
    ),
    WaitReason.CANCEL_REQUESTED: _("Running since %(since)s on %(worker)s. Cancellation was requested at %(asked)s."),
    WaitReason.WORKER_SILENT: _(
        "The worker %(worker)s has sent no heartbeat since %(heard)s; the job is about to be rescued."
    ),
    WaitReason.WORKER_GONE: _("The worker %(worker)s is gone; the job is about to be rescued."),
}
_AHEAD = _("Jobs ahead of it: %(ahead)s.")
_TURN = _("Its turn comes at about %(turn)s.")
_TURN_OR_LATER = _("Its turn comes at about %(turn)s at the earliest.")
_PAUSED_BY_NOBODY = _("The queue %(queue)s has been paused since %(since)s.")


def render_reason(reason: WaitExplanation, *, instant: Callable[[datetime], str], show_keys: bool = True) -> str:
    """Return a reason as a sentence in the current language; ``instant`` formats an instant.

    The number of jobs ahead at a limit follows as a second sentence. Keys of limits hold arguments:
    ``show_keys=False`` leaves them out.
    """
    return _sentences(reason, _values(reason, instant=instant, show_keys=show_keys))


def render_reason_html(
    reason: WaitExplanation, *, instant: Callable[[datetime], str], show_keys: bool = True
) -> SafeString:
    """Return the same as HTML, for an ``instant`` that returns an element; everything else is escaped."""
    values = _values(reason, instant=instant, show_keys=show_keys)
    escaped = {name: conditional_escape(value) for name, value in values.items()}
    return mark_safe(_sentences(reason, escaped))  # noqa: S308 - the texts are ours, the values escaped


def _sentences(reason: WaitExplanation, values: dict[str, Any]) -> str:
    text = REASON_TEXTS[reason.why]
    if reason.why is WaitReason.PAUSED and not reason.values["by"]:
        text = _PAUSED_BY_NOBODY
    sentence = str(text) % values
    if "turn" in values:
        sentence += " " + str(_TURN if reason.why is WaitReason.BEHIND else _TURN_OR_LATER) % values
    return f"{sentence} {str(_AHEAD) % values}" if "ahead" in values else sentence


def _values(reason: WaitExplanation, *, instant: Callable[[datetime], str], show_keys: bool) -> dict[str, Any]:
    values: dict[str, Any] = {
        name: instant(value) if isinstance(value, datetime) else value for name, value in reason.values.items()
    }
    if "kind" in values:
        values["limit"] = limit_label(values["kind"], values["name"], values["key"], show_keys=show_keys)
    return values


FORECAST_TEXTS = {
    Trend.EMPTY: _("empty"),
    Trend.KEEPS_UP: _("keeps up"),
    Trend.EMPTYING: _("empty at %(at)s"),
    Trend.STEADY: _("steady"),
    Trend.GROWING: _("growing by %(rate)s a minute"),
    Trend.PAUSED: _("paused"),
    Trend.NO_WORKER: _("no worker"),
    Trend.TOO_MANY: _("too many to tell"),
    Trend.UNKNOWN: _("not known yet"),
}
_NOT_BEFORE = _("not empty before %(at)s")
_WAITING = _("%(number)s waiting, %(forecast)s")


def render_forecast(
    forecast: Forecast, *, instant: Callable[[datetime], str], number: Callable[[float], str], with_number: bool = True
) -> str:
    """Return what becomes of a queue in the current language: "10,400 waiting, empty at 19:14".

    ``instant`` and ``number`` format an instant and a number; without ``with_number`` only what becomes of the jobs.
    """
    text = _NOT_BEFORE if forecast.trend is Trend.TOO_MANY and forecast.empty_at else FORECAST_TEXTS[forecast.trend]
    values = {}
    if forecast.empty_at is not None:
        values["at"] = instant(forecast.empty_at)
    if forecast.per_minute is not None:
        values["rate"] = number(round(forecast.per_minute, 0 if forecast.per_minute >= 1 else 1))
    sentence = str(text) % values
    if not with_number or forecast.trend is Trend.EMPTY:
        return sentence
    waiting = number(forecast.waiting) + ("+" if forecast.is_more else "")
    return str(_WAITING) % {"number": waiting, "forecast": sentence}


def render_forecast_html(
    forecast: Forecast, *, instant: Callable[[datetime], str], number: Callable[[float], str], with_number: bool
) -> SafeString:
    """Return the same as HTML, for an ``instant`` that returns an element; the texts are ours, the rest numbers."""
    return mark_safe(render_forecast(forecast, instant=instant, number=number, with_number=with_number))  # noqa: S308
