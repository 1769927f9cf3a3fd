"""Turn facts about the database, its rows and this host into findings with advice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum

from .galera import GaleraFacts, galera_hints, galera_problems
from .plurals import counted

CLOCK_TOLERANCE_SECONDS = 1.0
LONG_TRANSACTION_SECONDS = 300.0
MANY_DEAD_ROWS = 10_000
MANY_PAGES = 100
"""A read from the head of a healthy index reads fewer than ten."""
LARGE_WAL_BYTES = 256 << 20


class Severity(StrEnum):
    """PROBLEM: a promise is broken now. HINT: it may be broken later, or costs performance."""

    PROBLEM = "problem"
    HINT = "hint"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Texts of the findings: the problem and its remedy, in a sentence or two each."""

    severity: Severity
    about: str
    what: str
    advice: str


class UnsafeSetting(Enum):
    """A database setting that breaks a promise: its effect, and what to do."""

    AUTOCOMMIT_OFF = (
        "AUTOCOMMIT of the jobs' database is False: a job enqueued outside atomic() is not committed",
        "Remove it from DATABASES; Django's default is True, and django_jobs relies on it.",
    )
    NOT_DURABLE = (
        "the server does not wait for the disk at a commit: a crash loses enqueued and finished jobs",
        (
            "PostgreSQL: fsync and synchronous_commit on; MySQL and MariaDB: innodb_flush_log_at_trx_commit = 1."
            " Claims, which may be lost without harm, never wait for the disk."
        ),
    )
    NO_AUTOVACUUM = (
        "autovacuum is off: every job leaves dead rows that are never removed",
        "Turn autovacuum and track_counts on, or run VACUUM django_jobs_job every few minutes.",
    )
    NARROW_TEXT = (
        "a text column of django_jobs does not take every character: an error with an emoji is stored escaped",
        (
            "MySQL and MariaDB: ALTER TABLE ... CONVERT TO CHARACTER SET utf8mb4 for each table whose name begins with"
            " django_jobs_. PostgreSQL: a database with ENCODING 'UTF8'."
        ),
    )
    NO_TRANSACTIONS = (
        "a table of django_jobs has a storage engine without transactions",
        "ALTER TABLE ... ENGINE = InnoDB for each table whose name begins with django_jobs_.",
    )
    STATEMENT_POOLING = (
        "the pooler refuses transactions (PgBouncer in statement mode): atomic() fails, and so does work on jobs",
        "Set its pool_mode to transaction or session.",
    )
    DEFERRED = (
        (
            "the project's transactions on SQLite do not begin IMMEDIATE: one that reads before it writes or enqueues"
            " may fail with 'database is locked' beside a worker or another request"
        ),
        "Set 'OPTIONS': {'transaction_mode': 'IMMEDIATE', 'timeout': 20} in DATABASES.",
    )
    NO_WAL = (
        "the SQLite file is not in WAL mode: readers block writers",
        (
            "A worker switches it when it starts. If that does not last, something switches it back, or the file"
            " system does not support it (a network drive)."
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SilentWorker:
    """A worker that counts as alive with an old heartbeat; ``claims``: how many jobs it runs."""

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
    """Wrong rows of jobs and workers. Lists have at most the ten lowest ids."""

    silent_workers: Sequence[SilentWorker] = ()
    orphaned: Sequence[int] = ()
    inconsistent: Sequence[int] = ()
    missing_finished_at: Sequence[int] = ()
    unknown: Sequence[UnknownJobs] = ()
    unreadable: Sequence[tuple[int | str, str]] = ()
    wrong_permits: Sequence[int] = ()
    in_future: Sequence[tuple[str, int]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VacuumBlocker:
    """A process, replication slot or prepared transaction that prevents the removal of dead rows."""

    holder: str
    age_seconds: float | None
    query: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """Facts about the database server; None: not available.

    ``clock_skew_seconds``: this host's clock minus the database's. ``notify_works``: a notification arrived,
    by ``notifier``, which is the setting's without its password.
    """

    clock_skew_seconds: float = 0.0
    vacuum_blockers: Sequence[VacuumBlocker] = ()
    dead_rows: int | None = None
    head_pages: int | None = None
    log_bytes: int | None = None
    notify_works: bool | None = None
    notifier: str = "LISTEN"
    unsafe_settings: Sequence[UnsafeSetting] = ()
    galera: GaleraFacts | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaFacts:
    """Names of unapplied migrations, missing indexes and constraints, invalid indexes, and tables without options."""

    unapplied: Sequence[str] = ()
    missing: Sequence[str] = ()
    invalid: Sequence[str] = ()
    untuned: Sequence[str] = ()


def diagnose(*, rows: RowFacts, server: ServerFacts, schema: SchemaFacts) -> list[Finding]:
    """Return all findings, problems first."""
    found = [*_schema_findings(schema), *_row_findings(rows), *_server_findings(server)]
    return sorted(found, key=lambda finding: finding.severity is not Severity.PROBLEM)


def _schema_findings(schema: SchemaFacts) -> Iterable[Finding]:
    if schema.unapplied:
        yield _problem(
            "migrations",
            f"not applied: {', '.join(schema.unapplied)}",
            "Run 'manage.py migrate'.",
        )
    if schema.missing:
        yield _problem(
            "schema",
            f"missing: {', '.join(schema.missing)}",
            "Without them claims get slower with every job, or wrong rows are accepted. Create them again as the"
            " migrations do ('manage.py sqlmigrate django_jobs NAME' prints the statements).",
        )
    if schema.invalid:
        yield _problem(
            "schema",
            f"invalid indexes: {', '.join(schema.invalid)}",
            "The database updates them and never uses them. REINDEX INDEX CONCURRENTLY repairs them.",
        )
    if schema.untuned:
        yield _hint(
            "schema",
            f"tables without the storage parameters that the migration gave them: {', '.join(schema.untuned)}",
            "Autovacuum comes as late as for any table, and updates touch more indexes. 'manage.py sqlmigrate"
            " django_jobs 0001' prints an ALTER TABLE ... SET for each; other values than its are kept.",
        )


def _row_findings(rows: RowFacts) -> Iterable[Finding]:
    for worker in rows.silent_workers:
        yield _problem(
            "workers",
            f"{worker.name} has been silent for {_format_duration(worker.heartbeat_age_seconds)} with"
            f" {counted(worker.claims, 'claimed job')}, and has not been marked as lost",
            "Any living worker marks it and rescues its jobs: start one by 'manage.py runworker'.",
        )
    if rows.orphaned:
        yield _problem(
            "claims",
            f"running jobs whose worker is lost or gone: {_ids(rows.orphaned)}",
            "Any living worker rescues them within a few seconds: start one by 'manage.py runworker'.",
        )
    if rows.inconsistent:
        yield _problem(
            "jobs",
            f"state and columns contradict each other, so that no worker ever finds them: {_ids(rows.inconsistent)}",
            "They were not written by django_jobs. 'manage.py jobs cancel ID' ends them; enqueue them again.",
        )
    if rows.in_future:
        kinds = ", ".join(f"{number} {name}" for name, number in rows.in_future)
        yield _problem(
            "clock",
            f"instants in the future: {kinds}",
            "The database's clock was set back, or rows come from a server whose clock is ahead. A worker corrects them"
            " within a minute, and rescues and admits jobs again: start one by 'manage.py runworker'. Synchronize the"
            " database's host by NTP.",
        )
    if rows.wrong_permits:
        yield _problem(
            "limits",
            f"permits without a job, or at a limit without a row: of jobs {_ids(rows.wrong_permits)}",
            "They were not written by django_jobs: jobs were deleted by hand, or a part of a backup was restored. Any"
            " worker repairs them within minutes: start one by 'manage.py runworker'.",
        )
    for job_id, why in rows.unreadable:
        yield _problem(
            "jobs",
            f"job {job_id} cannot be called: {why}",
            "It will become a dead letter. Change the function to accept these arguments, or cancel the job.",
        )
    for unknown in rows.unknown:
        yield _hint(
            "jobs",
            f"waiting for a worker that knows the name {unknown.name!r}: {counted(unknown.number, 'job')}, up to"
            f" {_format_duration(unknown.unknown_seconds)} so far",
            "Deploy the code with this job to the workers, or cancel the jobs. After WORKER['UNKNOWN_JOB_TTL'] they"
            " are dead letters.",
        )
    if rows.missing_finished_at:
        yield _hint(
            "jobs",
            f"finished jobs without finished_at are never pruned: {_ids(rows.missing_finished_at)}",
            "They were not written by django_jobs. Delete them with 'manage.py jobs purge ID'.",
        )


def _server_findings(server: ServerFacts) -> Iterable[Finding]:
    for setting in server.unsafe_settings:
        yield _problem("settings", *setting.value)
    if server.galera is not None:
        yield from (_problem("cluster", *found) for found in galera_problems(server.galera))
        yield from (_hint("cluster", *found) for found in galera_hints(server.galera))
    if abs(server.clock_skew_seconds) > CLOCK_TOLERANCE_SECONDS:
        where = "ahead of" if server.clock_skew_seconds > 0 else "behind"
        yield _hint(
            "clock",
            f"this host's clock is {_format_duration(abs(server.clock_skew_seconds))} {where} the database's",
            "Jobs are due by the database's clock, so none is early or late; but run_after=timezone.now() + ... and"
            " the times of log lines are off by as much. Synchronize both hosts by NTP.",
        )
    if server.notify_works is False and server.notifier != "LISTEN":
        yield _hint(
            "notify",
            f"a notification by {server.notifier} did not arrive",
            "Idle workers poll every POLL_INTERVAL_WITHOUT_NOTIFY meanwhile, and requests that enqueue wait for that"
            " server a quarter of a second once a minute: start it, or correct DJANGO_JOBS['NOTIFIER'].",
        )
    elif server.notify_works is False:
        yield _hint(
            "notify",
            "a notification (LISTEN) did not arrive within 2 s",
            "The cause is probably PgBouncer in transaction mode. Idle workers find jobs by POLL_INTERVAL only, and"
            " schedulers see a changed schedule within a minute: give workers a direct connection, set"
            " DJANGO_JOBS['NOTIFIER'] to a Redis, or DJANGO_JOBS['WORKER']['NOTIFY'] = False: then they poll every"
            " POLL_INTERVAL_WITHOUT_NOTIFY, and schedulers every POLL_INTERVAL.",
        )
    yield from _vacuum_findings(server)


def _vacuum_findings(server: ServerFacts) -> Iterable[Finding]:
    dead, pages = server.dead_rows or 0, server.head_pages or 0
    costs = dead > MANY_DEAD_ROWS or pages > MANY_PAGES
    cost = f"{dead:,} dead rows in the table of jobs; a claim from the head of the index reads {pages:,} pages"
    for blocker in server.vacuum_blockers:
        age = "" if blocker.age_seconds is None else f" for {_format_duration(blocker.age_seconds)}"
        query = f": {blocker.query}" if blocker.query else ""
        known = f" ({cost})" if server.dead_rows is not None else ""
        yield Finding(
            severity=Severity.PROBLEM if costs else Severity.HINT,
            about="vacuum",
            what=f"{blocker.holder} has blocked the removal of dead rows{age}{known}{query}",
            advice="End it, or limit it: idle_in_transaction_session_timeout, statement_timeout, a shorter report."
            " Claims remember their position and stay fast; queue snapshots from the head get slower.",
        )
    if costs and not server.vacuum_blockers:
        yield _hint("vacuum", cost, "Nothing blocks it: VACUUM django_jobs_job, and check autovacuum.")
    if (server.log_bytes or 0) > LARGE_WAL_BYTES:
        yield _hint(
            "vacuum",
            f"SQLite's WAL file has grown to {(server.log_bytes or 0) >> 20} MB",
            "A connection has a long read transaction, so that the WAL file cannot be checkpointed. End it.",
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
