"""PostgreSQL: sessions at READ COMMITTED, LISTEN and NOTIFY."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from django.db import Error as DatabaseError
from django.db import InterfaceError, OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper

from ....policy.notifications import CHANNEL, SCHEDULERS_CHANNEL, write_payload
from ..base.batches import BatchStatements
from ..base.clock import ServerClock
from ..base.dependencies import DependencyStatements
from ..base.dialect import Dialect
from ..base.logs import LogStatements
from .inbox import PostgreSQLInbox
from .jobs import PostgreSQLJobs
from .keys import PostgreSQLKeys
from .limits import PostgreSQLLimits
from .schedules import PostgreSQLSchedules
from .server import PostgreSQLServer
from .sessions import PostgreSQLSessions
from .stats import PostgreSQLStats

CONFLICTS = {"40001", "40P01"}
"""serialization_failure and deadlock_detected; PostgreSQL manual, "Serialization Failure Handling"."""

OUTAGE_CLASSES = {"08", "25", "28", "3D", "40", "42", "53", "55", "57", "58", "F0", "XX"}
"""Classes of errors that other data would not mend: no connection, read-only, no rights, no database, a conflict, not
migrated, no resources, a lock, shut down or cut off, a broken disk, configuration or page; PostgreSQL manual, "Error
Codes"."""

UNMIGRATED = {"42P01", "42703"}
"""undefined_table and undefined_column."""

AWAY_CLASSES = {"08"}
AWAY = {"57P01", "57P02", "57P03", "57P04", "57P05", "53300", "25006"}
"""Shut down, crashed, starting, dropped, idle too long, too many connections, read-only after a failover."""


def _sqlstate(error: DatabaseError) -> str:
    """Return the server's code, empty if it has not answered; psycopg 3 and 2 name it differently."""
    cause = error.__cause__
    return getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None) or ""


class PostgreSQL(Dialect):
    """PostgreSQL 14 and later."""

    __slots__ = ()

    title = "PostgreSQL"
    clock = ServerClock(
        reading="statement_timestamp()",
        statement="SELECT statement_timestamp()",
        literal="'{}+00'::timestamptz",
    )
    jobs = PostgreSQLJobs()
    keys = PostgreSQLKeys()
    limits = PostgreSQLLimits()
    batches = BatchStatements(share_lock="FOR SHARE")
    dependencies = DependencyStatements()
    schedules = PostgreSQLSchedules()
    logs = LogStatements(data="%(data)s::jsonb")
    inbox = PostgreSQLInbox()
    stats = PostgreSQLStats(
        minute="floor(extract(epoch FROM attempt.finished_at) / 60)::bigint",
        waited="extract(epoch FROM attempt.started_at - attempt.ready_at)::float8",
        ran="extract(epoch FROM attempt.finished_at - attempt.started_at)::float8",
        joined="string_agg(CAST(CAST({} AS integer) AS text), ',')",
        job="LEFT JOIN LATERAL (SELECT queue_name, name FROM django_jobs_job WHERE id = attempt.job_id LIMIT 1) AS job"
        " ON true",
    )
    server = PostgreSQLServer()
    sessions = PostgreSQLSessions()

    supports_notify = True
    name_option = "application_name"
    network_timeouts = MappingProxyType(
        {
            "connect_timeout": 10,
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
            "tcp_user_timeout": 30_000,
        }
    )

    def prepare(self, connection: BaseDatabaseWrapper, *, durable: bool) -> None:
        """Set the session to READ COMMITTED if the project or the server chose another level."""
        with connection.cursor() as cursor:
            cursor.execute("SHOW default_transaction_isolation")
            if cursor.fetchone() != ("read committed",):
                cursor.execute("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED")

    def is_conflict(self, error: DatabaseError) -> bool:
        """Compare the SQLSTATE; psycopg 3 and 2 name it differently."""
        return _sqlstate(error) in CONFLICTS

    def is_refusal(self, error: DatabaseError) -> bool:
        """Compare the class of the SQLSTATE, its first two characters; an error without one came from the client."""
        sqlstate = _sqlstate(error)
        return bool(sqlstate) and sqlstate[:2] not in OUTAGE_CLASSES

    def is_unmigrated(self, error: DatabaseError) -> bool:
        """Compare the SQLSTATE."""
        return _sqlstate(error) in UNMIGRATED

    def is_outage(self, error: DatabaseError) -> bool:
        """Compare the SQLSTATE; without one, it is the client who has lost the connection."""
        if sqlstate := _sqlstate(error):
            return sqlstate[:2] in AWAY_CLASSES or sqlstate in AWAY
        return isinstance(error, OperationalError) or (isinstance(error, InterfaceError) and "connection" in str(error))

    def is_idle(self, driver_connection: Any) -> bool:
        """Ask the driver: libpq knows both. 0 is ``TransactionStatus.IDLE`` in psycopg 2 and 3."""
        return not driver_connection.closed and driver_connection.info.transaction_status == 0

    def notify(self, connection: BaseDatabaseWrapper, queue_name: str, priority: int | None) -> None:
        """Notify the workers that listen. NOTIFY locks the whole database at commit: call it seldom."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, write_payload(queue_name, priority)])

    def notify_schedulers(self, connection: BaseDatabaseWrapper) -> None:
        """Notify the schedulers that listen."""
        with connection.cursor() as cursor:
            cursor.execute(f"NOTIFY {SCHEDULERS_CHANNEL}")
