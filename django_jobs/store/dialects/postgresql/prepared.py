"""Statements that the server has prepared, sent past Django's cursor: an enqueue of half the CPU, on both sides.

Only in autocommit, where nothing observes that cursor (``observed.py``), and where the driver's session is the
server's. A pooler, which may give the next statement another session, tells its clients a process id of its own: that
is compared. If a session has forgotten a statement all the same (DISCARD ALL), the server executes nothing and says so.
"""

from __future__ import annotations

import hashlib
import itertools
import struct
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from weakref import WeakKeyDictionary

from django.db.backends.base.base import BaseDatabaseWrapper

from .observed import is_driver_observed, is_observed

try:
    from psycopg import generators
    from psycopg.errors import error_from_result
    from psycopg.pq import DiagnosticField, ExecStatus, TransactionStatus
except ImportError:  # psycopg 2, or a version that has moved what it does not document: cursors execute everything
    _can_prepare = False
else:
    _can_prepare = True

USES_BEFORE = 5
"""How often a session executes a statement by a cursor before it has the statement prepared."""

BINARY = 1
_STALE = {b"26000", b"0A000"}
"""invalid_sql_statement_name: the session has no such statement; feature_not_supported: a column has another type."""

_read_int64 = struct.Struct("!q").unpack
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


class _Session:
    """A session: how often it has executed each statement, and which it has prepared."""

    __slots__ = ("is_unfit", "names", "uses")

    def __init__(self) -> None:
        self.is_unfit = False
        self.uses: dict[str, int] = {}
        self.names: dict[str, bytes] = {}


_sessions: WeakKeyDictionary[Any, _Session] = WeakKeyDictionary()


def execute_prepared(
    connection: BaseDatabaseWrapper, statement: str, values: Sequence[str | int]
) -> list[bytes] | None:
    """Execute a statement that returns a row, and return its columns in the server's binary form.

    ``statement`` has ``%s`` for each of ``values``, texts and integers. None: nothing was executed, and a cursor is to
    execute it. Raises what a cursor would raise.
    """
    if not _can_prepare or connection.in_atomic_block or is_observed(connection):
        return None
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    connection.validate_thread_sharing()
    driver = connection.connection
    if is_driver_observed(driver):
        return None
    session = _sessions.get(driver) or _sessions.setdefault(driver, _Session())
    if session.is_unfit or not _is_at_rest(driver):
        return None
    with connection.wrap_database_errors:
        name = session.names.get(statement)
        if name is None:
            _count_use(driver, session, statement)
            return None
        parameters = [value.encode() if isinstance(value, str) else b"%d" % value for value in values]
        result = _exchange(driver, lambda server: server.send_query_prepared(name, parameters, result_format=BINARY))
        if result.status == ExecStatus.TUPLES_OK:
            return [result.get_value(0, column) for column in range(result.nfields)]
        if result.error_field(DiagnosticField.SQLSTATE) not in _STALE:
            raise error_from_result(result)
        session.is_unfit = True
        return None


def read_bigint(column: bytes) -> int:
    """Return a bigint from its binary form."""
    number: int = _read_int64(column)[0]
    return number


def read_instant(column: bytes) -> datetime:
    """Return a timestamptz from its binary form: microseconds since 2000, in every session's time zone."""
    return _EPOCH + timedelta(microseconds=_read_int64(column)[0])


def _is_at_rest(driver: Any) -> bool:
    """Tell whether nothing is under way in the session, and its texts are UTF-8, as Django and psycopg have them."""
    server = driver.pgconn
    return (
        driver.autocommit
        and server.transaction_status == TransactionStatus.IDLE
        and not server.pipeline_status
        and server.parameter_status(b"client_encoding") == b"UTF8"
    )


def _count_use(driver: Any, session: _Session, statement: str) -> None:
    """Count one execution by a cursor; at the fifth have the statement prepared, if the session is the server's."""
    uses = session.uses[statement] = session.uses.get(statement, 0) + 1
    if uses < USES_BEFORE:
        return
    if not session.names:
        answer = _exchange(driver, lambda server: server.send_query(b"SELECT pg_backend_pid()"))
        session.is_unfit = answer.get_value(0, 0) != str(driver.pgconn.backend_pid).encode()
    if not session.is_unfit:
        name = f"django_jobs_{hashlib.md5(statement.encode(), usedforsecurity=False).hexdigest()}".encode()
        answer = _exchange(driver, lambda server: server.send_prepare(name, _numbered(statement)))
        session.is_unfit = answer.status != ExecStatus.COMMAND_OK
        session.names[statement] = name


def _numbered(statement: str) -> bytes:
    """Return a statement with the server's placeholders in place of the driver's."""
    first, *rest = statement.split("%s")
    return (first + "".join(f"${at}{text}" for at, text in zip(itertools.count(1), rest, strict=False))).encode()


def _exchange(driver: Any, send: Callable[[Any], None]) -> Any:
    """Send to the server and wait for its answer as psycopg's cursors do: it can be interrupted, by gevent too."""
    with driver.lock:
        send(driver.pgconn)
        return driver.wait(generators.execute(driver.pgconn))[-1]
