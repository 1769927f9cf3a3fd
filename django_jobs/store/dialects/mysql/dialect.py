"""MySQL and MariaDB: sessions at READ COMMITTED, no notifications."""

from __future__ import annotations

from datetime import datetime
from types import MappingProxyType
from typing import Any

from django.db import Error as DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper

from ..base.batches import BatchStatements
from ..base.dialect import Dialect
from ..base.jobs import as_instant
from ..base.logs import LogStatements
from ..base.stats import StatStatements
from ..shared.by_id import COMPILERS
from . import compilers
from .dependencies import MySQLDependencies
from .errors import CONFLICTS, error_number, is_away, is_server_refusal
from .jobs import MySQLJobs
from .keys import MySQLKeys
from .limits import MySQLLimits
from .logs import ON_DUPLICATE_KEY
from .schedules import MySQLSchedules
from .server import MySQLServer
from .sessions import MySQLSessions
from .statements import NOW

COMPILERS["mysql"] = compilers


class MySQL(Dialect):
    """MySQL 8 and MariaDB 10.6 and later."""

    __slots__ = ()

    supports_tuple_ranges = False

    jobs = MySQLJobs()
    keys = MySQLKeys()
    limits = MySQLLimits()
    batches = BatchStatements(share_lock="LOCK IN SHARE MODE")
    dependencies = MySQLDependencies()
    schedules = MySQLSchedules()
    logs = LogStatements(merge=ON_DUPLICATE_KEY)
    stats = StatStatements(
        minute="TIMESTAMPDIFF(MICROSECOND, '1970-01-01', finished_at) DIV 60000000",
        waited="TIMESTAMPDIFF(MICROSECOND, ready_at, started_at) / 1e6",
        ran="TIMESTAMPDIFF(MICROSECOND, started_at, finished_at) / 1e6",
    )
    server = MySQLServer()
    sessions = MySQLSessions()

    network_timeouts = MappingProxyType({"connect_timeout": 10})

    def prepare(self, connection: BaseDatabaseWrapper, *, durable: bool) -> None:
        """Set the session to READ COMMITTED: gap locks would make claims wait for enqueues."""
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")

    def now(self, connection: BaseDatabaseWrapper) -> datetime:
        """Return the database's time."""
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {NOW}")
            now: datetime = as_instant(cursor.fetchone()[0])
            return now

    def is_conflict(self, error: DatabaseError) -> bool:
        """Compare the server's error number."""
        return error_number(error) in CONFLICTS

    def is_refusal(self, error: DatabaseError) -> bool:
        """Compare the server's error number."""
        return is_server_refusal(error)

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
