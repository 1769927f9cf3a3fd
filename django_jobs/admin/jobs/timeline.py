"""A job's life in steps: enqueued, each try with its wait, worker, duration, outcome and error, and what comes next."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models.functions import Left, Length, Right
from django.utils.translation import gettext, pgettext

from ...models import Attempt, Job, JobLog
from ...policy.project_frames import Frame, project_frame
from ...policy.states import WAITING_STATES, State
from ...policy.truncate import cut
from ...store.logs import logs_of
from ...worker.execution.errors import is_project_file
from ..site.base import exactly
from .labels import duration_words, outcome_words

SHOWN_TRIES = 20
READ_CHARACTERS = 50_000
"""So much of a traceback's end is read: where the project's own frame is looked for."""
SHOWN_CHARACTERS = 10_000
SHOWN_MESSAGE = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step. ``kind`` is a class of the stylesheet; ``facts`` are (name, text) pairs."""

    title: str
    instant: datetime | None
    kind: str = ""
    facts: list[tuple[str, Any]]
    error: str = ""
    frame: Frame | None = None
    traceback: str = ""
    claim_number: int | None = None
    attempt_id: int | None = None
    is_cut: bool = False
    log: JobLog | None = None

    @property
    def text_key(self) -> str:
        """Names the whole error in an address."""
        return f"try-{self.claim_number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """The steps in their order; ``has_earlier`` tries that are not among them."""

    steps: list[Step]
    has_earlier: bool


def timeline(job: Job, *, sees_errors: bool) -> Timeline:
    """Return the life of a job with its newest tries.

    Two statements, which read no more of errors than is shown; one more for a job that expires.
    """
    tries = list(_tries(job, sees_errors=sees_errors)[: SHOWN_TRIES + 1])
    shown = tries[:SHOWN_TRIES][::-1]
    steps = [Step(title=gettext("Enqueued"), instant=job.enqueued_at, facts=[])]
    claims = [one.claim_number for one in shown] if sees_errors else []
    logs = logs_of(job.pk, claims) if claims else {}
    steps += [_try(one, sees_errors=sees_errors, log=logs.get(one.claim_number)) for one in shown]
    steps += _expired(job) or _standing(job)
    return Timeline(steps=steps, has_earlier=len(tries) > SHOWN_TRIES)


def _tries(job: Job, *, sees_errors: bool) -> Any:
    rows = job.attempts.order_by("-claim_number").select_related("worker")
    if sees_errors:
        rows = rows.annotate(
            message_head=Left("error_message", SHOWN_MESSAGE + 1),
            traceback_end=Right("traceback", READ_CHARACTERS),
            traceback_size=Length("traceback"),
        )
    return rows.defer("error_message", "traceback")


def _try(attempt: Any, *, sees_errors: bool, log: JobLog | None) -> Step:
    facts: list[tuple[str, Any]] = [(gettext("outcome"), outcome_words(attempt.outcome))]
    if attempt.ready_at is not None:
        facts.append((gettext("waited"), duration_words(attempt.waited)))
    if attempt.duration is not None:
        facts.append((gettext("ran"), duration_words(attempt.duration)))
    if attempt.worker_id is not None:
        facts.append((gettext("worker"), attempt.worker or f"#{attempt.worker_id}"))
    step: dict[str, Any] = {
        "title": gettext("Try %(number)s") % {"number": attempt.number},
        "instant": attempt.started_at or attempt.finished_at,
        "kind": attempt.outcome.replace("_", "-"),
        "facts": facts,
        "claim_number": attempt.claim_number,
        "attempt_id": attempt.pk,
        "error": attempt.error_class,
        "log": log,
    }
    if sees_errors and attempt.error_class:
        step |= _error(attempt)
    return Step(**step)


def _error(attempt: Any) -> dict[str, Any]:
    message = attempt.message_head
    is_cut = len(message) > SHOWN_MESSAGE or attempt.traceback_size > SHOWN_CHARACTERS
    error = f"{attempt.error_class}: {cut(message, SHOWN_MESSAGE)}" if message else attempt.error_class
    return {
        "error": error,
        "frame": project_frame(attempt.traceback_end, is_project=is_project_file),
        "traceback": cut(attempt.traceback_end, SHOWN_CHARACTERS),
        "is_cut": is_cut,
    }


def _standing(job: Job) -> list[Step]:
    """Return where the job stands now: what runs, waits, comes next or has ended it."""
    state = job.state
    if state == State.RUNNING:
        facts: list[tuple[str, Any]] = [(gettext("worker"), job.worker or f"#{job.worker_id}")]
        if job.ready_at and job.started_at:
            facts.append((gettext("waited"), duration_words(job.started_at - job.ready_at)))
        title = gettext("Try %(number)s runs") % {"number": job.attempt}
        steps = [Step(title=title, instant=job.started_at, kind="running", facts=facts)]
        return steps + _asked(job)
    if state == State.READY:
        return [Step(title=gettext("Ready"), instant=job.ready_at, kind="waiting", facts=[])]
    if state == State.SCHEDULED:
        title = gettext("Next try due") if job.attempt else pgettext("when a job is to run", "Due")
        return [Step(title=title, instant=job.run_after, kind="waiting", facts=[])]
    if state == State.CANCELLED:
        cancelled = Step(title=gettext("Cancelled"), instant=job.finished_at, kind="cancelled", facts=[])
        return [*_asked(job), cancelled]
    if state == State.DEAD:
        return [Step(title=gettext("Dead"), instant=job.finished_at, kind="failed", facts=[])]
    if state == State.SUCCEEDED:
        return [Step(title=gettext("Succeeded"), instant=job.finished_at, kind="succeeded", facts=[])]
    return []


def _expired(job: Job) -> list[Step]:
    """Return what became of a job that was dropped for its age, or until when one that waits is of use."""
    if job.state == State.CANCELLED and job.expired_at:
        facts = [(gettext("was to begin by"), exactly(job.expires_at))]
        return [Step(title=gettext("Expired"), instant=job.expired_at, kind="cancelled", facts=facts)]
    if job.state in WAITING_STATES and job.expires_at:
        return [*_standing(job), Step(title=gettext("Expires"), instant=job.expires_at, facts=[])]
    return []


def _asked(job: Job) -> list[Step]:
    if not job.cancel_requested_at:
        return []
    return [Step(title=gettext("Asked to end"), instant=job.cancel_requested_at, facts=[])]


def whole_error(job: Job, claim_number: int) -> str | None:
    """Return the whole text of a try's error, None where there is no such try."""
    attempt = Attempt.objects.filter(job=job.pk, claim_number=claim_number).first()
    if attempt is None:
        return None
    return attempt.traceback or attempt.error or ""
