"""The contract that every database must keep, and the values that cross it.

A dialect has no state. Its methods take this thread's connection, write in the caller's transaction
where there is one and commit on their own where there is none. The conformance suite in ``tests/store``
runs unchanged on each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from django.db import connections
from django.db.models.expressions import RawSQL

from ....policy.claim_cursors import Lane
from ....policy.decide import Decision
from ....policy.histogram import BUCKETS_PER_DOUBLING, MIN_SECONDS
from ....policy.rollup import AttemptCount
from ....policy.states import State

if TYPE_CHECKING:
    from django.db import Error as DatabaseError
    from django.db.backends.base.base import BaseDatabaseWrapper

Position = tuple[Any, int]
"""``(ready_at, id)`` of the last job claimed in a line, as the database's driver takes it."""


class NewJob(NamedTuple):
    """What all jobs of one enqueue share. ``delay_seconds`` counts from the database's clock; it or ``run_after``.

    ``blocked``: what is due at once does not become ready, something has to release it. ``flags``: bits of ``JobFlag``.
    With that of EXPIRES it expires at an instant, or so many seconds after its enqueue.
    """

    name: str
    queue_name: str
    priority: int
    max_attempts: int
    metadata: str
    run_after: datetime | None = None
    delay_seconds: float | None = None
    blocked: bool = False
    flags: int = 0
    expires_at: datetime | None = None
    expires_seconds: float | None = None

    @property
    def expires(self) -> bool:
        """True where it is not of use for ever."""
        return self.expires_at is not None or self.expires_seconds is not None

    @property
    def columns(self) -> tuple[Any, ...]:
        """What the job's own row is made of."""
        return self[:9]


class Inserted(NamedTuple):
    """What the database decided about a new job."""

    job_id: int
    state: str
    enqueued_at: datetime
    run_after: datetime | None
    ready_at: datetime | None


class Claim(NamedTuple):
    """A worker's right to one run of a job: (worker, job, claim number) is what the finish is fenced by.

    A tuple and not a dataclass because one is made for every job that runs: from a row it takes a
    third of the time. ``arguments`` and ``metadata`` are JSON text; instants are seconds since the epoch
    by the database's clock, because most are never looked at: ``unknown_since`` is since when no worker knew the name.
    ``worker_deaths`` counts the workers that died while they ran the job; ``flags`` has the bits of ``JobFlag``.
    """

    job_id: int
    claim_number: int
    name: str
    queue_name: str
    priority: int
    attempt: int
    max_attempts: int
    arguments: str
    metadata: str
    enqueued: float
    ready: float
    unknown_since: float | None
    claimed: float
    worker_deaths: int = 0
    flags: int = 0

    def __repr__(self) -> str:
        """Tell which claim it is and leave the arguments out: this stands in logs and error mails."""
        return f"<claim {self.claim_number} of job {self.job_id} ({self.name})>"

    @property
    def enqueued_at(self) -> datetime:
        """The instant of the enqueue, aware."""
        return from_epoch(self.enqueued)

    @property
    def ready_at(self) -> datetime:
        """The instant at which the job became ready, aware."""
        return from_epoch(self.ready)

    @property
    def claimed_at(self) -> datetime:
        """The instant of the claim, aware."""
        return from_epoch(self.claimed)


class FinishedRun(NamedTuple):
    """A run that has ended and what was decided. Instants are seconds since the epoch by the database's clock."""

    claim: Claim
    decision: Decision
    started: float | None
    finished: float
    fingerprint: str = ""


class QueueSnapshot(NamedTuple):
    """What a look from the head saw: the database's time, when scheduled work is due next, lines with ready jobs.

    ``next_admission``: when a limit may have something to give out. ``capped``: queues of which only so many jobs may run.
    """

    now: datetime
    next_due: datetime | None
    lines: list[Lane]
    next_admission: datetime | None = None
    capped: frozenset[str] = frozenset()


class Promoted(NamedTuple):
    """How many jobs came due, and the ids of those that are under a limit."""

    number: int
    limited: list[int]


class ScheduleTimes(NamedTuple):
    """When a schedule is due next and when a scheduler is to look at it: None for neither any more."""

    schedule_id: int
    next_due_at: datetime | None
    next_check_at: datetime | None


class NewTick(NamedTuple):
    """What became of one tick, in the order of the table's columns; see ``models.Tick``."""

    schedule_id: int
    due_at: datetime
    decided_at: datetime
    outcome: str
    reason: str
    job_id: int | None
    is_open: bool
    requested_by: str


class Dialect(Protocol):
    """What a database must be able to do."""

    supports_notify: bool
    """True where ``LISTEN`` and ``NOTIFY`` wake idle workers."""

    def prepare(self, connection: BaseDatabaseWrapper, *, durable: bool) -> None:
        """Set up a connection that belongs to a worker; ``durable`` False where losing the last commits is harmless."""

    def write_transaction(self, connection: BaseDatabaseWrapper) -> AbstractContextManager[None]:
        """Open a transaction for several statements, or join the caller's."""

    def now(self, connection: BaseDatabaseWrapper) -> datetime:
        """Return the database's time, aware."""

    def insert_jobs(
        self, connection: BaseDatabaseWrapper, new: NewJob, arguments: Sequence[str]
    ) -> list[Inserted]:
        """Insert one job for each of ``arguments`` (JSON text), in their order."""

    def read_snapshot(self, connection: BaseDatabaseWrapper, queues: Sequence[str] | None) -> QueueSnapshot:
        """Read, without locks, the time, the next due instant and the lines of unpaused queues with ready jobs."""

    def claim(
        self,
        connection: BaseDatabaseWrapper,
        line: Lane,
        *,
        after: Position | None,
        limit: int,
        worker_id: int,
        capped: bool = False,
    ) -> list[Claim]:
        """Move up to ``limit`` jobs of ``line`` behind ``after`` from ready to running, in order; locks no others.

        From a queue of which only so many may run nothing is taken, unless ``capped``: the caller has counted.
        """

    def position(self, connection: BaseDatabaseWrapper, claim: Claim) -> Position:
        """Return where ``claim`` stands in its line."""

    def promote(self, connection: BaseDatabaseWrapper, limit: int) -> Promoted:
        """Move up to ``limit`` due jobs from scheduled to ready, those under a limit to blocked."""

    def finish(
        self, connection: BaseDatabaseWrapper, ended: Sequence[FinishedRun], *, worker_id: int
    ) -> dict[int, int]:
        """Save what was decided on claims that are still ``worker_id``'s; return their jobs' flags, by id, as they are.

        Job, Attempt and DeadLetter are written together or not at all.
        """

    def count_attempts(self, connection: BaseDatabaseWrapper, *, above: int, upto: int) -> list[AttemptCount]:
        """Count, without locks, how the attempts with ids in ``(above, upto]`` ended; one statement."""

    def insert_ticks(self, connection: BaseDatabaseWrapper, ticks: Sequence[NewTick]) -> None:
        """Insert ticks; raises IntegrityError where one of them, by schedule and ``due_at``, is there already."""

    def set_schedule_times(self, connection: BaseDatabaseWrapper, looks: Sequence[ScheduleTimes]) -> None:
        """Write when schedules, locked by the caller, are due next; one round trip where the database can."""

    def is_conflict(self, error: DatabaseError) -> bool:
        """Tell whether the server answers, and undid this transaction in favour of another: try it again."""

    def is_idle(self, driver_connection: Any) -> bool:
        """Tell, without asking the server where possible, whether a connection is open and in no transaction."""

    def notify(self, connection: BaseDatabaseWrapper, queue_name: str) -> None:
        """Wake idle workers where the database can; elsewhere do nothing."""

    def notify_schedulers(self, connection: BaseDatabaseWrapper) -> None:
        """Have all schedulers look at the schedules anew, where the database can; elsewhere do nothing."""


def state_literal(state: State) -> RawSQL:
    """Return a state as a constant of the statement: SQLite reads a partial index's condition nowhere else."""
    return RawSQL(f"'{state.value}'", ())  # noqa: S611 - one of the seven words of an enumeration


def as_instant(value: datetime | str | None) -> datetime | None:
    """Return what a driver gave for an instant as an aware one; None also for what was edited into no instant."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


# Looked up row by row, by key: a join, or an EXISTS, lets PostgreSQL hash the whole table of jobs, or of letters.
# A bucket's bound that is a power of two comes out a hair too high by the logarithm's rounding: hence the 1e-9.
COUNT_ATTEMPTS = """
SELECT minute_of, queue_name, kind,
       CASE WHEN waited <= {shortest} THEN 0 ELSE ceiling(ln(waited / {shortest}) * {factor} - 1e-9) END AS wait_of,
       CASE WHEN ran <= {shortest} THEN 0 ELSE ceiling(ln(ran / {shortest}) * {factor} - 1e-9) END AS run_of,
       count(*)
FROM (
    SELECT {{minute}} AS minute_of,
           coalesce((SELECT job.queue_name FROM django_jobs_job AS job WHERE job.id = attempt.job_id), '')
               AS queue_name,
           CASE WHEN outcome = 'succeeded' THEN 'succeeded'
                WHEN outcome IN ('failed', 'timed_out', 'retried', 'lost') AND (
                    SELECT letter.id FROM django_jobs_deadletter AS letter
                    WHERE letter.job_id = attempt.job_id AND letter.died_at = attempt.finished_at LIMIT 1
                ) IS NULL THEN 'retried'
                ELSE 'other' END AS kind,
           CASE WHEN outcome NOT IN ('snoozed', 'released') THEN {{waited}} END AS waited,
           CASE WHEN outcome NOT IN ('snoozed', 'released') THEN {{ran}} END AS ran
    FROM django_jobs_attempt AS attempt
    WHERE id > %(above)s AND id <= %(upto)s
) AS ended
GROUP BY minute_of, queue_name, kind, wait_of, run_of
""".format(shortest=MIN_SECONDS, factor=BUCKETS_PER_DOUBLING / math.log(2))


def read_attempt_counts(
    connection: BaseDatabaseWrapper, statement: str, *, above: int, upto: int
) -> list[AttemptCount]:
    """Run a dialect's form of ``COUNT_ATTEMPTS``; attempts whose end is no instant are left out."""
    with connection.cursor() as cursor:
        cursor.execute(statement, {"above": above, "upto": upto})
        return [
            AttemptCount(int(minute), queue_name, kind, _as_bucket(wait), _as_bucket(run), number)
            for minute, queue_name, kind, wait, run, number in cursor.fetchall()
            if minute is not None
        ]


def _as_bucket(value: float | None) -> int | None:
    return None if value is None else int(value)


def get_connection(alias: str) -> BaseDatabaseWrapper:
    """Return this thread's connection to ``alias``."""
    return connections[alias]


def claim_order(claim: Claim) -> tuple[float, int]:
    """Return where a claim stands among those of its line, for sorting."""
    return claim.ready, claim.job_id


def from_epoch(seconds: float) -> datetime:
    """Return the aware instant of ``seconds`` since the epoch."""
    return datetime.fromtimestamp(seconds, UTC)


def is_plain_success(ended: FinishedRun) -> bool:
    """Tell whether a run succeeded: the outcome of nearly all jobs, which has statements of its own."""
    return ended.decision.state == "succeeded"


def as_record(ended: FinishedRun) -> dict[str, Any]:
    """Return an ended run as a flat JSON object; the names are those that the statements read."""
    claim, decision = ended.claim, ended.decision
    error = decision.error
    return {
        "job_id": claim.job_id,
        "claim_number": claim.claim_number,
        "number": claim.attempt,
        "state": decision.state.value,
        "delay": decision.delay.total_seconds() if decision.delay is not None else 0,
        "given_back": int(decision.gives_back_attempt),
        "name_unknown": decision.name_unknown,
        "keeps_unknown_since": decision.keeps_unknown_since,
        "worker_died": int(decision.worker_died),
        "outcome": decision.attempt_outcome.value if decision.attempt_outcome else None,
        "started": ended.started,
        "finished": ended.finished,
        "error_class": error.error_class if error else "",
        "error_message": error.message if error else "",
        "traceback": error.traceback if error else "",
        "reason": decision.death.value if decision.death else None,
        "fingerprint": ended.fingerprint,
    }
