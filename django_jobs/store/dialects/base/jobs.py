"""The contract of the statements about jobs, and the values that cross it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol, overload

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.expressions import RawSQL

from ....policy.claim_cursors import Lane
from ....policy.decide import Decision
from ....policy.states import State

Position = tuple[Any, int]
"""``(ready_at, id)`` of the last job claimed in a lane, in the form that the database's driver takes."""


class NewJob(NamedTuple):
    """The columns that all jobs of one enqueue share. At most one of ``run_after`` and ``delay_seconds``.

    ``delay_seconds`` counts from the database's clock. ``blocked``: a job due at once becomes blocked instead of ready.
    ``flags``: bits of ``JobFlag``. A job with the flag EXPIRES has one of ``expires_at`` and ``expires_seconds``, the
    latter counted from its enqueue. The fields before ``run_after`` are columns that are stored as they are given.
    """

    name: str
    queue_name: str
    priority: int
    max_attempts: int
    metadata: str
    flags: int = 0
    run_after: datetime | None = None
    delay_seconds: float | None = None
    blocked: bool = False
    expires_at: datetime | None = None
    expires_seconds: float | None = None

    @property
    def expires(self) -> bool:
        """True if the job has an expiry."""
        return self.expires_at is not None or self.expires_seconds is not None

    @property
    def given(self) -> tuple[Any, ...]:
        """The values of ``GIVEN_COLUMNS``."""
        return self[: len(GIVEN_COLUMNS)]

    @property
    def given_but_metadata(self) -> tuple[Any, ...]:
        """The values of ``GIVEN_COLUMNS`` for jobs each of which has metadata of its own."""
        return self[:METADATA_AT] + self[METADATA_AT + 1 : len(GIVEN_COLUMNS)]


GIVEN_COLUMNS = NewJob._fields[: NewJob._fields.index("run_after")]
"""The columns of a new job that every database stores as they are given."""
METADATA_AT = GIVEN_COLUMNS.index("metadata")


class Inserted(NamedTuple):
    """The columns of a new job that the database decided."""

    job_id: int
    state: str
    enqueued_at: datetime
    run_after: datetime | None
    ready_at: datetime | None


class Claim(NamedTuple):
    """A worker's right to one run of a job. The finish is fenced by worker, job and claim number.

    A tuple, not a dataclass, because one is made for every run: from a row it takes a third of the time. ``arguments``
    and ``metadata`` are JSON text. Instants are seconds since the epoch by the database's clock, because most are
    never read. ``unknown_since``: the instant since which no worker has known the job's name. ``worker_deaths``: how
    many workers died while they ran the job. ``flags``: bits of ``JobFlag``.
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
        """Leave the arguments out: the text appears in logs and error mails."""
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


class StartedRun(NamedTuple):
    """A run whose function is about to be called; ``started`` in seconds since the epoch by the database's clock."""

    claim: Claim
    worker_id: int
    started: float


class FinishedRun(NamedTuple):
    """A finished run and its decision. Instants are seconds since the epoch by the database's clock."""

    claim: Claim
    decision: Decision
    started: float | None
    finished: float
    fingerprint: str = ""


class QueueSnapshot(NamedTuple):
    """The database's time, the next due instant of scheduled jobs, and the lanes that have ready jobs.

    ``next_admission``: when a limit may have a permit to give. ``capped``: queues with a maximum of running jobs.
    ``reading_seconds``: how long the reading of index entries took, dead ones among them, without waits and network.
    """

    now: datetime
    next_due: datetime | None
    lanes: list[Lane]
    next_admission: datetime | None = None
    capped: frozenset[str] = frozenset()
    reading_seconds: float = 0.0


class Promoted(NamedTuple):
    """The number of jobs that came due, and the ids of those under a limit."""

    number: int
    limited: list[int]


class JobStatements(Protocol):
    """Insert, claim, promote and finish jobs."""

    def insert_jobs(
        self,
        connection: BaseDatabaseWrapper,
        new: NewJob,
        arguments: Sequence[str],
        *,
        metadata: Sequence[str] = (),
        notify: bool = False,
    ) -> list[Inserted]:
        """Insert one job for each of ``arguments`` (JSON text), in their order.

        ``metadata``: that of each instead of ``new.metadata``; empty, or for more than one job.
        ``notify``: have workers woken by the same commit; only if the dialect ``supports_notify``.
        """

    def read_snapshot(self, connection: BaseDatabaseWrapper, queues: Sequence[str] | None) -> QueueSnapshot:
        """Read, without locks, the time, the next due instant and the lanes of unpaused queues with ready jobs."""

    def claim(
        self,
        connection: BaseDatabaseWrapper,
        lane: Lane,
        *,
        after: Position | None,
        limit: int,
        worker_id: int,
        capped: bool = False,
    ) -> list[Claim]:
        """Move up to ``limit`` jobs of ``lane`` after the position from ready to running, in order; lock no others.

        Nothing is taken from a queue with a maximum of running jobs, unless ``capped``: the caller has counted.
        """

    def position(self, connection: BaseDatabaseWrapper, claim: Claim) -> Position:
        """Return the position of ``claim`` in its lane."""

    def read_positions(self, connection: BaseDatabaseWrapper, lane: Lane, limit: int) -> list[Position]:
        """Return the positions of the first ``limit`` ready jobs of ``lane``, without locks.

        Empty where claims of several workers cannot undo each other, and a look down the lane is of no use.
        """

    def promote(self, connection: BaseDatabaseWrapper, limit: int) -> Promoted:
        """Move up to ``limit`` due jobs from scheduled to ready, those under a limit to blocked."""

    def finish(self, connection: BaseDatabaseWrapper, runs: Sequence[FinishedRun], *, worker_id: int) -> dict[int, int]:
        """Save the decisions on claims that ``worker_id`` still has; return the current flags of their jobs, by id.

        Job, Attempt and DeadLetter are written together or not at all.
        """


def state_literal(state: State) -> RawSQL:
    """Return a state as a constant in the SQL text: SQLite uses a partial index only for a condition it can read."""
    return RawSQL(f"'{state.value}'", ())  # noqa: S611 - one of the seven words of an enumeration


@overload
def as_instant(value: datetime) -> datetime: ...
@overload
def as_instant(value: datetime | str | None) -> datetime | None: ...
def as_instant(value: datetime | str | None) -> datetime | None:
    """Return a driver's instant as an aware one; None also for text that is no instant (a row edited by hand)."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


def as_inserted(row: tuple[Any, ...]) -> Inserted:
    """Return the columns of a new job with aware instants."""
    job_id, state, enqueued_at, run_after, ready_at = row
    return Inserted(job_id, state, as_instant(enqueued_at), as_instant(run_after), as_instant(ready_at))


def snapshot_statement(*, times: str, lanes: str, reading: str) -> str:
    """Return the statement of a queue snapshot: a row of ``times``, one a lane, and a last one.

    ``times``: the columns now, next_due and next_admission. ``lanes``: a query of queue_name, priority and whether the
    queue is capped. ``reading``: an expression of seconds that is evaluated before and after the lanes are read, which
    the server does in the order of the statement; the difference is how long the reading took.
    """
    return f"""
SELECT {times}, NULL AS queue_name, NULL AS priority, {reading} AS value
UNION ALL
SELECT NULL, NULL, NULL, lanes.* FROM ({lanes}) AS lanes
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, {reading}
"""


def execute_snapshot(connection: BaseDatabaseWrapper, statement: str, queues: Sequence[str] | None) -> QueueSnapshot:
    """Run a vendor's snapshot statement; keep the lanes of ``queues``, None for all."""
    with connection.cursor() as cursor:
        cursor.execute(statement)
        first, *rows, last = cursor.fetchall()
    now, next_due, next_admission = first[:3]
    served = None if queues is None else frozenset(queues)
    return QueueSnapshot(
        as_instant(now),
        as_instant(next_due),
        [Lane(*row[3:5]) for row in rows if served is None or row[3] in served],
        as_instant(next_admission),
        frozenset(row[3] for row in rows if row[5]),
        float(last[5] - first[5]),
    )


def claim_order(claim: Claim) -> tuple[float, int]:
    """Return the sort key of a claim within its lane."""
    return claim.ready, claim.job_id


def from_epoch(seconds: float) -> datetime:
    """Return the aware instant of ``seconds`` since the epoch."""
    return datetime.fromtimestamp(seconds, UTC)


def is_plain_success(run: FinishedRun) -> bool:
    """Tell whether a run succeeded: the outcome of nearly all jobs, which has statements of its own."""
    return run.decision.state == "succeeded"


def as_record(run: FinishedRun) -> dict[str, Any]:
    """Return a finished run as a flat JSON object; its keys are the names that the statements read."""
    claim, decision = run.claim, run.decision
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
        "started": run.started,
        "finished": run.finished,
        "error_class": error.error_class if error else "",
        "error_message": error.message if error else "",
        "traceback": error.traceback if error else "",
        "reason": decision.death.value if decision.death else None,
        "fingerprint": run.fingerprint,
    }
