"""How jobs and tries are told on pages: states, outcomes, durations and links."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ...models import Job
from ...policy.outcomes import AttemptOutcome
from ...policy.states import State

STATE_LABELS = {
    State.BLOCKED: _("blocked"),
    State.SCHEDULED: _("scheduled"),
    State.READY: _("ready"),
    State.RUNNING: _("running"),
    State.SUCCEEDED: _("succeeded"),
    State.CANCELLED: _("cancelled"),
    State.DEAD: _("dead"),
}
OUTCOME_LABELS = {
    AttemptOutcome.SUCCEEDED: _("succeeded"),
    AttemptOutcome.FAILED: _("failed"),
    AttemptOutcome.TIMED_OUT: _("timed out"),
    AttemptOutcome.RETRIED: _("asked for another try"),
    AttemptOutcome.DISCARDED: _("discarded"),
    AttemptOutcome.SNOOZED: _("snoozed"),
    AttemptOutcome.RELEASED: _("given back"),
    AttemptOutcome.CANCELLED: _("cancelled"),
    AttemptOutcome.LOST: _("lost with its worker"),
    AttemptOutcome.UNREADABLE: _("unreadable"),
}


def state_label(state: str) -> str:
    """Return a state in the current language; what is none of the seven stays as it is."""
    return str(STATE_LABELS.get(State(state), state)) if state in set(State) else state


def outcome_label(outcome: str) -> str:
    """Return the outcome of a try in the current language."""
    return str(OUTCOME_LABELS[AttemptOutcome(outcome)]) if outcome in set(AttemptOutcome) else outcome


def format_duration(duration: timedelta | None) -> str:
    """Return a duration in the two units that say most; nothing for None. Below zero (a clock was set) is none."""
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
    """Return how long the job was ready before its last run began, or has been so far."""
    if job.ready_at is None:
        return None
    if job.state == State.READY:
        return now - job.ready_at
    return job.started_at - job.ready_at if job.started_at else None


def run_duration(job: Job, *, now: datetime) -> timedelta | None:
    """Return how long the job's last run took, or has taken so far."""
    if job.started_at is None:
        return None
    if job.state == State.RUNNING:
        return now - job.started_at
    is_over = job.finished_at is not None and job.state in {State.SUCCEEDED, State.DEAD}
    return job.finished_at - job.started_at if is_over and job.finished_at else None


def progress_bar(job: Job) -> str | SafeString:
    """Return a progress bar, or nothing where the job says nothing."""
    if job.progress_done is None:
        return ""
    if not job.progress_total:
        return f"{job.progress_done} {job.progress_message}".strip()
    return format_html(
        '<progress value="{}" max="{}" aria-label="{}"></progress> {}/{} {}',
        max(job.progress_done, 0),
        max(job.progress_total, 1),
        _("progress"),
        job.progress_done,
        job.progress_total,
        job.progress_message,
    )


def page_link(
    request: HttpRequest | None, site: AdminSite, model: str, pk: Any, text: Any
) -> str | SafeString:
    """Return a link to a row's page; the text alone for a user who may not see that, or where there is no row."""
    if pk is None:
        return "-"
    if request is not None and not request.user.has_perm(f"django_jobs.view_{model}"):
        return str(text)
    return format_html(
        '<a href="{}">{}</a>', reverse(f"{site.name}:django_jobs_{model}_change", args=[pk]), text
    )
