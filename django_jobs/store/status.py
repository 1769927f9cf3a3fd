"""Watch: what people who wait for jobs are told of them, read for many at once."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ..models import Attempt, DeadLetter, Job
from ..policy.states import FINAL_STATES, State
from .clock import DatabaseNow
from .dialects import open_dialect

_COLUMNS = (
    "pk", "name", "state", "cancel_requested_at", "progress_done", "progress_total", "progress_message",
    "enqueued_at", "run_after", "started_at", "finished_at",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus:
    """A job as it stood at ``seen_at``, by the database's clock; equal to any other look that saw the same."""

    job_id: int
    name: str
    state: State
    is_cancel_requested: bool
    progress_done: int | None
    progress_total: int | None
    progress_message: str
    enqueued_at: datetime
    run_after: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    seen_at: datetime = field(compare=False)

    @property
    def is_final(self) -> bool:
        """True where nothing more changes unless staff redrive the job."""
        return self.state in FINAL_STATES

    @property
    def age(self) -> timedelta:
        """How long ago it was enqueued."""
        return self.seen_at - self.enqueued_at

    @property
    def due_in(self) -> timedelta | None:
        """How long it is until it is due; None where it is not scheduled."""
        return None if self.run_after is None else self.run_after - self.seen_at


def read_statuses(job_ids: Collection[int], *, using: str | None = None) -> dict[int, JobStatus]:
    """Return what there is to see of jobs, by id; those that are gone are left out. One statement, by primary keys."""
    _, connection = open_dialect(using)
    rows = Job.objects.using(connection.alias).filter(pk__in=list(job_ids))
    seen = {}
    for (
        job_id, name, state, cancel_requested_at, done, total, message,
        enqueued_at, run_after, started_at, finished_at, seen_at,
    ) in rows.values_list(*_COLUMNS, DatabaseNow()):  # fmt: skip
        seen[job_id] = JobStatus(
            job_id=job_id,
            name=name,
            state=State(state),
            is_cancel_requested=cancel_requested_at is not None,
            progress_done=done,
            progress_total=total,
            progress_message=message,
            enqueued_at=enqueued_at,
            run_after=run_after,
            started_at=started_at,
            finished_at=finished_at,
            seen_at=seen_at,
        )
    return seen


def last_error(job_id: int, *, using: str | None = None) -> str | None:
    """Return the text of the error for which a job ended: its newest letter's, else its last try's. For staff only."""
    _, connection = open_dialect(using)
    letter = DeadLetter.objects.using(connection.alias).filter(job=job_id).order_by("pk").last()
    if letter is not None:
        return ": ".join(filter(None, (letter.error_class or letter.reason, letter.error_message)))
    attempt = Attempt.objects.using(connection.alias).filter(job=job_id).order_by("claim_number").last()
    return attempt.error if attempt is not None else None
