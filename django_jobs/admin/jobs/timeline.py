"""A job's timeline: enqueued, each attempt with its wait, worker, duration, outcome and error, and the next step."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models.functions import Left, Length, Right
from django.utils.translation import gettext, pgettext

from ...models import Attempt, Job, JobLog
from ...policy.error_text import class_text, error_text
from ...policy.project_frames import Frame, project_frame
from ...policy.states import WAITING_STATES, State
from ...policy.truncate import truncate
from ...store.logs import logs_of
from ...worker.execution.errors import is_project_file
from ..site.job_log import log_context
from ..site.labels import format_duration, outcome_label
from ..site.times import format_timestamp

MAX_ATTEMPTS_SHOWN = 20
TRACEBACK_TAIL_CHARS = 50_000
"""The part at a traceback's end that is read and searched for the project's own frame."""
MAX_TRACEBACK_CHARS = 10_000
MAX_MESSAGE_CHARS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step. ``kind`` is a class of the stylesheet; ``details`` are (name, text) pairs."""

    title: str
    instant: datetime | None
    kind: str = ""
    details: list[tuple[str, Any]] = field(default_factory=list)
    error: str = ""
    frame: Frame | None = None
    traceback: str = ""
    claim_number: int | None = None
    attempt_id: int | None = None
    is_truncated: bool = False
    log: dict[str, Any] | None = None

    @property
    def time(self) -> str:
        """The instant, with milliseconds: a job's steps lie close together."""
        return format_timestamp(self.instant, is_precise=True)

    @property
    def text_key(self) -> str:
        """Names the full error text in an address."""
        return f"attempt-{self.claim_number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """The steps, the newest first. ``has_earlier``: older attempts are left out."""

    steps: list[Step]
    has_earlier: bool


def timeline(job: Job, *, show_errors: bool) -> Timeline:
    """Return the timeline of a job with its newest attempts.

    Two statements, which read no more of errors than is shown; one more for a job that expires.
    """
    attempts = list(_attempts(job, show_errors=show_errors)[: MAX_ATTEMPTS_SHOWN + 1])
    newest = attempts[:MAX_ATTEMPTS_SHOWN][::-1]
    steps = [Step(title=gettext("Enqueued"), instant=job.enqueued_at)]
    claims = [attempt.claim_number for attempt in newest] if show_errors else []
    logs = logs_of(job.pk, claims) if claims else {}
    steps += [_attempt_step(attempt, show_errors=show_errors, log=logs.get(attempt.claim_number)) for attempt in newest]
    steps += _expiry_steps(job) or _current_steps(job)
    return Timeline(steps=steps[::-1], has_earlier=len(attempts) > MAX_ATTEMPTS_SHOWN)


def _attempts(job: Job, *, show_errors: bool) -> Any:
    rows = job.attempts.order_by("-claim_number").select_related("worker")
    if show_errors:
        rows = rows.annotate(
            message_head=Left("error_message", MAX_MESSAGE_CHARS + 1),
            traceback_end=Right("traceback", TRACEBACK_TAIL_CHARS),
            traceback_size=Length("traceback"),
        )
    return rows.defer("error_message", "traceback")


def _attempt_step(attempt: Any, *, show_errors: bool, log: JobLog | None) -> Step:
    details: list[tuple[str, Any]] = [(gettext("outcome"), outcome_label(attempt.outcome))]
    if attempt.ready_at is not None:
        details.append((gettext("wait time"), format_duration(attempt.waited)))
    if attempt.duration is not None:
        details.append((gettext("run time"), format_duration(attempt.duration)))
    if attempt.worker_id is not None:
        details.append((gettext("worker"), attempt.worker or f"#{attempt.worker_id}"))
    step: dict[str, Any] = {
        "title": gettext("Attempt %(number)s") % {"number": attempt.number},
        "instant": attempt.started_at or attempt.finished_at,
        "kind": attempt.outcome.replace("_", "-"),
        "details": details,
        "claim_number": attempt.claim_number,
        "attempt_id": attempt.pk,
        "error": class_text(attempt.error_class),
        "log": log and log_context(log),
    }
    if show_errors and attempt.error_class:
        step |= _error_fields(attempt)
    return Step(**step)


def _error_fields(attempt: Any) -> dict[str, Any]:
    message = attempt.message_head
    is_truncated = len(message) > MAX_MESSAGE_CHARS or attempt.traceback_size > MAX_TRACEBACK_CHARS
    return {
        "error": error_text(attempt.error_class, truncate(message, MAX_MESSAGE_CHARS)),
        "frame": project_frame(attempt.traceback_end, is_project=is_project_file),
        "traceback": truncate(attempt.traceback_end, MAX_TRACEBACK_CHARS),
        "is_truncated": is_truncated,
    }


def _current_steps(job: Job) -> list[Step]:
    """Return the current step: running, waiting, due next, or final."""
    state = job.state
    if state == State.RUNNING:
        details: list[tuple[str, Any]] = [(gettext("worker"), job.worker or f"#{job.worker_id}")]
        began_at = job.run_started_at
        if job.ready_at and began_at:
            details.append((gettext("wait time"), format_duration(began_at - job.ready_at)))
        title = gettext("Attempt %(number)s running") if began_at else gettext("Attempt %(number)s claimed, not begun")
        kind, title = "running" if began_at else "waiting", title % {"number": job.attempt}
        steps = [Step(title=title, instant=began_at or job.started_at, kind=kind, details=details)]
        return steps + _cancel_requested_steps(job)
    if state == State.READY:
        return [Step(title=gettext("Ready"), instant=job.ready_at, kind="waiting")]
    if state == State.SCHEDULED:
        title = gettext("Next attempt due") if job.attempt else pgettext("when a job is to run", "Due")
        return [Step(title=title, instant=job.run_after, kind="waiting")]
    if state == State.CANCELLED:
        cancelled = Step(title=gettext("Cancelled"), instant=job.finished_at, kind="cancelled")
        return [*_cancel_requested_steps(job), cancelled]
    if state == State.DEAD:
        return [Step(title=gettext("Dead"), instant=job.finished_at, kind="failed")]
    if state == State.SUCCEEDED:
        return [Step(title=gettext("Succeeded"), instant=job.finished_at, kind="succeeded")]
    return []


def _expiry_steps(job: Job) -> list[Step]:
    """Return the expiry of a job that was dropped for its age, or that still waits."""
    if job.state == State.CANCELLED and job.expired_at:
        details = [(gettext("deadline to start"), format_timestamp(job.expires_at))]
        return [Step(title=gettext("Expired"), instant=job.expired_at, kind="cancelled", details=details)]
    if job.state in WAITING_STATES and job.expires_at:
        return [*_current_steps(job), Step(title=gettext("Expires"), instant=job.expires_at)]
    return []


def _cancel_requested_steps(job: Job) -> list[Step]:
    if not job.cancel_requested_at:
        return []
    return [Step(title=gettext("Cancellation requested"), instant=job.cancel_requested_at)]


def full_error_text(job: Job, claim_number: int) -> str | None:
    """Return the full error text of an attempt, None if there is no such attempt."""
    attempt = Attempt.objects.filter(job=job.pk, claim_number=claim_number).first()
    if attempt is None:
        return None
    return attempt.traceback or attempt.error or ""
