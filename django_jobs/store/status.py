"""Read the status of jobs for clients that wait for them, many in one statement."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ..conf.database import public_id
from ..models import Attempt, DeadLetter, Job
from ..policy.error_text import error_text
from ..policy.states import FINAL_STATES, State
from .clock import DatabaseNow
from .dialects import open_dialect

_COLUMNS = (
    "pk", "name", "state", "cancel_requested_at", "progress_done", "progress_total", "progress_message",
    "enqueued_at", "run_after", "started_at", "finished_at",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus:
    """Status of a job at ``seen_at``, by the database's clock. Equal to another status with the same values."""

    job_id: int
    database: str
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
    def public_id(self) -> int | str:
        """The job's number, or database and number if jobs are in several."""
        return public_id(self.job_id, database=self.database)

    @property
    def is_final(self) -> bool:
        """True if the status can change only by a redrive."""
        return self.state in FINAL_STATES

    @property
    def age(self) -> timedelta:
        """Time since the enqueue."""
        return self.seen_at - self.enqueued_at

    @property
    def due_in(self) -> timedelta | None:
        """Time until the job is due; None if it is not scheduled."""
        return None if self.run_after is None else self.run_after - self.seen_at


def read_statuses(job_ids: Collection[int], *, using: str | None = None) -> dict[int, JobStatus]:
    """Return the statuses of jobs by id, without jobs that no longer exist. One statement by primary key."""
    _, connection = open_dialect(using)
    rows = Job.objects.using(connection.alias).filter(pk__in=list(job_ids))
    statuses = {}
    for (
        job_id, name, state, cancel_requested_at, done, total, message,
        enqueued_at, run_after, started_at, finished_at, seen_at,
    ) in rows.values_list(*_COLUMNS, DatabaseNow()):  # fmt: skip
        statuses[job_id] = JobStatus(
            job_id=job_id,
            database=connection.alias,
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
    return statuses


def last_error(job_id: int, *, using: str | None = None) -> str | None:
    """Return the error of an ended job: of its newest dead letter, else of its last attempt. For staff only."""
    _, connection = open_dialect(using)
    dead_letter = DeadLetter.objects.using(connection.alias).filter(job=job_id).order_by("pk").last()
    if dead_letter is not None:
        return error_text(dead_letter.error_class or dead_letter.reason, dead_letter.error_message)
    attempt = Attempt.objects.using(connection.alias).filter(job=job_id).order_by("claim_number").last()
    return attempt.error if attempt is not None else None
