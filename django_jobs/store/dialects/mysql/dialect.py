"""MySQL and MariaDB: sessions at READ COMMITTED, no notifications."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from django.db import Error as DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper

from ..base.batches import BatchStatements
from ..base.clock import ServerClock
from ..base.dialect import Dialect
from ..base.logs import LogStatements
from ..shared.by_id import COMPILERS
from . import compilers
from .dependencies import MySQLDependencies
from .errors import CONFLICTS, UNMIGRATED, error_number, is_away, is_server_refusal
from .inbox import MySQLInbox
from .jobs import MySQLJobs
from .keys import MySQLKeys
from .limits import MySQLLimits
from .logs import ON_DUPLICATE_KEY
from .schedules import MySQLSchedules
from .server import MySQLServer
from .sessions import MySQLSessions
from .statements import NOW
from .stats import MySQLStats

COMPILERS["mysql"] = compilers


class MySQL(Dialect):
    """MySQL 8 and MariaDB 10.6 and later."""

    __slots__ = ()

    title = "MySQL or MariaDB"
    supports_tuple_ranges = False

    clock = ServerClock(reading=NOW, statement=f"SELECT {NOW}", literal="TIMESTAMP'{}'")
    jobs = MySQLJobs()
    keys = MySQLKeys()
    limits = MySQLLimits()
    batches = BatchStatements(share_lock="LOCK IN SHARE MODE")
    dependencies = MySQLDependencies()
    schedules = MySQLSchedules()
    logs = LogStatements(merge=ON_DUPLICATE_KEY)
    inbox = MySQLInbox()
    stats = MySQLStats(
        minute="TIMESTAMPDIFF(MICROSECOND, '1970-01-01', attempt.finished_at) DIV 60000000",
        waited="TIMESTAMPDIFF(MICROSECOND, attempt.ready_at, attempt.started_at) / 1e6",
        ran="TIMESTAMPDIFF(MICROSECOND, attempt.started_at, attempt.finished_at) / 1e6",
        joined="group_concat(CAST({} AS signed))",
    )
    server = MySQLServer()
    sessions = MySQLSessions()

    network_timeouts = MappingProxyType({"connect_timeout": 10})

    def prepare(self, connection: BaseDatabaseWrapper, *, durable: bool) -> None:
        """Set the session to READ COMMITTED: gap locks would make claims wait for enqueues."""
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")

    def is_conflict(self, error: DatabaseError) -> bool:
        """Compare the server's error number."""
        return error_number(error) in CONFLICTS

    def is_refusal(self, error: DatabaseError) -> bool:
        """Compare the server's error number."""
        return is_server_refusal(error)

    def is_unmigrated(self, error: DatabaseError) -> bool:
        """Compare the server's error number."""
        return error_number(error) in UNMIGRATED

    def is_outage(self, error: DatabaseError) -> bool:
        """Compare the client's or the server's error number."""
        return is_away(error)

    def is_idle(self, driver_connection: Any) -> bool:
        """Ask the driver whether it is open and commits by itself; it does not know of ``START TRANSACTION``.

        mysqlclient refuses to tell while another thread executes a statement on the connection.
        """
        try:
            return bool(driver_connection.open and driver_connection.get_autocommit())
        except Exception:  # noqa: BLE001 - of any driver: it is in use, or broken
            return False
