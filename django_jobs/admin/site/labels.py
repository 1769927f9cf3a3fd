"""Labels, durations and badges that several pages share."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ...models import Job
from ...models.labels import ATTEMPT_OUTCOME_LABELS, STATE_LABELS
from ...policy.filter_values import FilterError
from ...policy.limits import LimitKind
from ...policy.outcomes import AttemptOutcome, DeathReason
from ...policy.states import State

DEATH_REASON_LABELS = {
    DeathReason.ATTEMPTS_USED_UP: _("attempts used up"),
    DeathReason.NOT_RETRYABLE: _("not retryable"),
    DeathReason.DISCARDED: _("discarded by the job"),
    DeathReason.UNKNOWN_JOB: _("unknown job"),
    DeathReason.UNREADABLE: _("unreadable"),
    DeathReason.QUARANTINED: _("killed its workers"),
}
LIMIT_KIND_LABELS = {
    LimitKind.ORDER: _("ordering"),
    LimitKind.CONCURRENCY: _("concurrency"),
    LimitKind.BREAKER: _("circuit breaker"),
    LimitKind.RATE: _("rate limit"),
}


def state_label(state: str) -> str:
    """Return a state in the current language; an unknown one unchanged."""
    return str(STATE_LABELS.get(State(state), state)) if state in set(State) else state


def outcome_label(outcome: str) -> str:
    """Return the outcome of an attempt in the current language, an unknown one unchanged."""
    return str(ATTEMPT_OUTCOME_LABELS[AttemptOutcome(outcome)]) if outcome in set(AttemptOutcome) else outcome


def death_reason_label(reason: str) -> str:
    """Return why a job died in the current language."""
    return str(DEATH_REASON_LABELS[DeathReason(reason)]) if reason in set(DeathReason) else reason


def format_duration(duration: timedelta | None) -> str:
    """Return a duration in its two largest units, empty for None. A negative one (a clock was set back) is zero."""
    if duration is None:
        return ""
    seconds = max(duration.total_seconds(), 0)
    if seconds < 1:
        return gettext("%(number)d ms") % {"number": round(seconds * 1000)}
    if seconds < 60:
        return gettext("%(number).1f s") % {"number": seconds}
    minutes, hours, days = int(seconds // 60), int(seconds // 3600), int(seconds // 86400)
    if minutes < 60:
        return gettext("%(number)d min %(rest)d s") % {"number": minutes, "rest": seconds % 60}
    if hours < 24:
        return gettext("%(number)d h %(rest)d min") % {"number": hours, "rest": minutes % 60}
    return gettext("%(number)d d %(rest)d h") % {"number": days, "rest": hours % 24}


def wait_duration(job: Job, *, now: datetime) -> timedelta | None:
    """Return how long the job was ready before its last run, or has been so far."""
    if job.ready_at is None:
        return None
    if job.state == State.READY:
        return now - job.ready_at
    ended_at = (job.run_started_at or now) if job.state == State.RUNNING else job.started_at
    return ended_at - job.ready_at if ended_at else None


def run_duration(job: Job, *, now: datetime) -> timedelta | None:
    """Return how long the job's last run took, or has taken so far; None for one that was claimed and has not begun."""
    if job.started_at is None:
        return None
    if job.state == State.RUNNING:
        return now - job.run_started_at if job.run_started_at else None
    is_over = job.finished_at is not None and job.state in {State.SUCCEEDED, State.DEAD}
    return job.finished_at - job.started_at if is_over and job.finished_at else None


def progress_bar(job: Job, *, show_message: bool) -> str | SafeString:
    """Return a progress bar, empty if the job reports no progress. Its message is text of the job, as arguments are."""
    if job.progress_done is None:
        return ""
    message = job.progress_message if show_message else ""
    if not job.progress_total:
        return f"{job.progress_done} {message}".strip()
    return format_html(
        '<progress value="{}" max="{}" aria-label="{}"></progress> {}/{} {}',
        max(job.progress_done, 0),
        max(job.progress_total, 1),
        _("progress"),
        job.progress_done,
        job.progress_total,
        message,
    )


def render_json(value: Any) -> SafeString:
    """Return ``value`` as indented JSON."""
    return format_html('<pre dir="ltr" tabindex="0">{}</pre>', json.dumps(value, indent=2, ensure_ascii=False))


def filter_error_text(error: FilterError) -> str:
    """Return the error of an address's parameter in the current language."""
    return gettext("%(parameter)s: expected %(expected)s, got %(got)s") % {
        "parameter": error.parameter,
        "expected": gettext(error.expected) % error.values,
        "got": repr(error.got),
    }


def known_details(*details: tuple[Any, Any]) -> list[tuple[Any, Any]]:
    """Return the (name, value) pairs whose value is not empty."""
    return [(name, value) for name, value in details if value not in ("", None)]
