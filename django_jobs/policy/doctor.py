"""Diagnose: turn facts about the database, its rows and this host into findings that say what to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum

CLOCK_TOLERANCE_SECONDS = 1.0
LONG_TRANSACTION_SECONDS = 300.0
MANY_DEAD_ROWS = 10_000
MANY_PAGES = 100
"""A look at the head of a sound index reads fewer than ten."""
LARGE_WAL_BYTES = 256 << 20


class Severity(StrEnum):
    """A problem breaks a promise now; a hint is something that will, or that costs."""

    PROBLEM = "problem"
    HINT = "hint"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What is wrong and what to do about it, a sentence or two each."""

    severity: Severity
    about: str
    what: str
    advice: str


class UnsafeSetting(Enum):
    """A setting under which a promise does not hold: what it does, and what to do."""

    AUTOCOMMIT_OFF = (
        "AUTOCOMMIT of the jobs' database is False: a job enqueued outside atomic() is not committed",
        "Remove it from DATABASES; Django's default is True, and django_jobs counts on it.",
    )
    NOT_DURABLE = (
        "the server does not wait for the disk at a commit: its crash loses what was enqueued and finished",
        (
            "PostgreSQL: fsync and synchronous_commit on; MySQL and MariaDB: innodb_flush_log_at_trx_commit = 1."
            " What may be lost without harm, claims, is committed without waiting anyway."
        ),
    )
    NO_AUTOVACUUM = (
        "autovacuum is off: every job leaves dead rows that nobody removes",
        "Switch autovacuum and track_counts on, or run VACUUM django_jobs_job every few minutes.",
    )
    NO_TRANSACTIONS = (
        "a table of django_jobs is of an engine without transactions",
        "ALTER TABLE ... ENGINE = InnoDB for each table whose name begins with django_jobs_.",
    )
    DEFERRED = (
        (
            "the project's transactions on SQLite do not begin IMMEDIATE: one that reads before it writes may fail with"
            " 'database is locked' beside a worker"
        ),
        "Set OPTIONS = {'transaction_mode': 'IMMEDIATE'} in DATABASES.",
    )
    NO_WAL = (
        "SQLite's file is not in WAL mode: whoever reads holds up whoever writes",
        (
            "A worker switches it when it starts. Where that does not last, something switches it back, or the file"
            " system cannot do it (a network drive)."
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SilentWorker:
    """A worker held to be alive whose last heartbeat is ``heartbeat_age_seconds`` old; ``claims`` run under it."""

    name: str
    heartbeat_age_seconds: float
    claims: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownJobs:
    """``number`` jobs of a name that no worker has known for up to ``unknown_seconds``."""

    name: str
    number: int
    unknown_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFacts:
    """What is wrong with jobs and workers. Lists of ids have up to ten, of the lowest."""

    silent_workers: Sequence[SilentWorker] = ()
    orphaned: Sequence[int] = ()
    inconsistent: Sequence[int] = ()
    missing_finished_at: Sequence[int] = ()
    unknown: Sequence[UnknownJobs] = ()
    unreadable: Sequence[tuple[int, str]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VacuumBlocker:
    """What keeps dead rows from being removed: a process, a replication slot, a prepared transaction."""

    holder: str
    age_seconds: float | None
    query: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """What the database says of itself; None: it has no such thing, or does not tell.

    ``clock_skew_seconds`` is this host's clock minus the database's. ``notify_works``: a notification came through.
    """

    clock_skew_seconds: float = 0.0
    vacuum_blockers: Sequence[VacuumBlocker] = ()
    dead_rows: int | None = None
    head_pages: int | None = None
    log_bytes: int | None = None
    notify_works: bool | None = None
    unsafe_settings: Sequence[UnsafeSetting] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaFacts:
    """Names of what the migrations should have made and did not, or what has been damaged since."""

    unapplied: Sequence[str] = ()
    missing: Sequence[str] = ()
    invalid: Sequence[str] = ()


def diagnose(*, rows: RowFacts, server: ServerFacts, schema: SchemaFacts) -> list[Finding]:
    """Return all findings, problems first."""
    found = [*_schema_findings(schema), *_row_findings(rows), *_server_findings(server)]
    return sorted(found, key=lambda one: one.severity is not Severity.PROBLEM)


def _schema_findings(schema: SchemaFacts) -> Iterable[Finding]:
    if schema.unapplied:
        yield _problem(
            "migrations",
            f"not applied: {', '.join(schema.unapplied)}",
            "Run 'manage.py migrate django_jobs'.",
        )
    if schema.missing:
        yield _problem(
            "schema",
            f"missing: {', '.join(schema.missing)}",
            "Claims get slower with every job, or wrong rows come in. Make them anew as the migrations of"
            " django_jobs do ('manage.py sqlmigrate django_jobs NAME' prints them).",
        )
    if schema.invalid:
        yield _problem(
            "schema",
            f"invalid indexes: {', '.join(schema.invalid)}",
            "The database keeps them up and never uses them. REINDEX INDEX CONCURRENTLY mends them.",
        )


def _row_findings(rows: RowFacts) -> Iterable[Finding]:
    for worker in rows.silent_workers:
        yield _problem(
            "workers",
            f"{worker.name} has been silent for {_format_duration(worker.heartbeat_age_seconds)} with {worker.claims} jobs in its hands,"
            " and nobody has declared it lost",
            "Any living worker does that and rescues its jobs: start one by 'manage.py runworker'.",
        )
    if rows.orphaned:
        yield _problem(
            "claims",
            f"jobs run under a worker that is lost or gone: {_ids(rows.orphaned)}",
            "Any living worker rescues them within a few seconds: start one by 'manage.py runworker'.",
        )
    if rows.inconsistent:
        yield _problem(
            "jobs",
            f"state and columns contradict each other, so that no worker ever finds them: {_ids(rows.inconsistent)}",
            "They were written past the engine. 'manage.py jobs cancel ID' ends them; enqueue their work anew.",
        )
    for job_id, why in rows.unreadable:
        yield _problem(
            "jobs",
            f"job {job_id} cannot be called: {why}",
            "It will be a dead letter. Mend its arguments before, or let the function take what was enqueued.",
        )
    for unknown in rows.unknown:
        yield _hint(
            "jobs",
            f"{unknown.number} jobs named {unknown.name!r} wait for a worker that knows the name, up to"
            f" {_format_duration(unknown.unknown_seconds)} so far",
            "Deploy the code that has it to the workers, or cancel them. After WORKER['UNKNOWN_JOB_TTL'] they are dead letters.",
        )
    if rows.missing_finished_at:
        yield _hint(
            "jobs",
            f"ended jobs without an instant of their end are never pruned: {_ids(rows.missing_finished_at)}",
            "They were written past the engine. Delete them with 'manage.py jobs purge ID'.",
        )


def _server_findings(server: ServerFacts) -> Iterable[Finding]:
    for weakness in server.unsafe_settings:
        yield _problem("settings", *weakness.value)
    if abs(server.clock_skew_seconds) > CLOCK_TOLERANCE_SECONDS:
        where = "ahead of" if server.clock_skew_seconds > 0 else "behind"
        yield _hint(
            "clock",
            f"this host's clock is {_format_duration(abs(server.clock_skew_seconds))} {where} the database's",
            "Jobs are due by the database's clock, so none is early or late for it; but run_after=timezone.now() + ..."
            " is off by as much, and so are log lines. Let both hosts follow NTP.",
        )
    if server.notify_works is False:
        yield _hint(
            "doorbell",
            "a notification of LISTEN did not come through within 2 s",
            "Probably PgBouncer in transaction mode. Idle workers find jobs by WORKER['POLL_INTERVAL'] only, and schedulers see a"
            " changed schedule within a minute: give workers a direct connection, or set DJANGO_JOBS['WORKER']['NOTIFY'] = False,"
            " so that they look every POLL_INTERVAL_WITHOUT_NOTIFY, and schedulers every POLL_INTERVAL.",
        )
    yield from _vacuum_findings(server)


def _vacuum_findings(server: ServerFacts) -> Iterable[Finding]:
    dead, pages = server.dead_rows or 0, server.head_pages or 0
    costs = dead > MANY_DEAD_ROWS or pages > MANY_PAGES
    cost = f"{dead:,} dead rows in the jobs' table; a look at the head of the line reads {pages:,} pages"
    for held in server.vacuum_blockers:
        age = "" if held.age_seconds is None else f" for {_format_duration(held.age_seconds)}"
        query = f": {held.query}" if held.query else ""
        known = f" ({cost})" if server.dead_rows is not None else ""
        yield Finding(
            severity=Severity.PROBLEM if costs else Severity.HINT,
            about="vacuum",
            what=f"{held.holder} has held back the removal of dead rows{age}{known}{query}",
            advice="End it, or bound it: idle_in_transaction_session_timeout, statement_timeout, a shorter report."
            " Claims remember their place and stay fast; looks from the head get slower.",
        )
    if costs and not server.vacuum_blockers:
        yield _hint("vacuum", cost, "Nothing holds it back: VACUUM django_jobs_job, and see to autovacuum.")
    if (server.log_bytes or 0) > LARGE_WAL_BYTES:
        yield _hint(
            "vacuum",
            f"SQLite's log has grown to {(server.log_bytes or 0) >> 20} MB",
            "Some connection reads in one transaction for long, so that the log cannot be taken over. End it.",
        )


def _problem(about: str, what: str, advice: str) -> Finding:
    return Finding(severity=Severity.PROBLEM, about=about, what=what, advice=advice)


def _hint(about: str, what: str, advice: str) -> Finding:
    return Finding(severity=Severity.HINT, about=about, what=what, advice=advice)


def _ids(ids: Sequence[int]) -> str:
    return ", ".join(map(str, ids))


def _format_duration(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
