"""Sessions of MySQL and MariaDB: variables, named locks, the current database, transactions begun by hand.

mysqlclient does not tell whether a transaction is open, so each statement that begins one counts as a change.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from ....policy.session_effects import CALL, COMMON_PLAIN_WORDS, GAP, SessionRules
from ..base.sessions import DriverObserver, SessionStatements

HAS_TRANSACTION_MARIADB = "SELECT @@in_transaction"
HAS_TRANSACTION_MYSQL = """
SELECT count(*) FROM performance_schema.events_transactions_current AS transactions
JOIN performance_schema.threads USING (thread_id)
WHERE processlist_id = connection_id() AND transactions.state = 'ACTIVE'
"""
MAX_STATEMENT_CHARS = 200
"""Statements of the driver contain their values: only the beginning is read."""


class MySQLSessions(SessionStatements):
    """``SET LOCAL`` is ``SET SESSION`` here; user variables and named locks outlive the transaction."""

    rules = SessionRules(
        plain_words=COMMON_PLAIN_WORDS | {"analyze", "desc", "do", "optimize", "replace"},
        hints=("get_lock", ":=", "@"),
        session_calls=re.compile(rf"\bget_lock{CALL}|:=|\binto\b{GAP}@"),
    )

    def observe_driver(self, driver_connection: Any, observer: DriverObserver) -> None:
        """Report statements that reach the driver's connection while no cursor of Django's executes one."""
        send = driver_connection.query

        def query(statement: Any) -> None:
            if observer.is_executing:
                send(statement)
                return
            with observer.driver_executes(bytes(statement[:MAX_STATEMENT_CHARS]).decode(errors="replace")):
                send(statement)

        driver_connection.query = query

    def has_transaction(self, connection: BaseDatabaseWrapper) -> bool:
        """Ask MariaDB by its variable, MySQL by its performance schema; not if the driver knows: ``is_idle``."""
        if not connection.connection.get_autocommit():
            return False
        is_mariadb = connection.mysql_is_mariadb  # type: ignore[attr-defined]  # MySQL's wrapper has it
        with connection.connection.cursor() as cursor:
            cursor.execute(HAS_TRANSACTION_MARIADB if is_mariadb else HAS_TRANSACTION_MYSQL)
            return bool(cursor.fetchone()[0])

    def release(self, connection: BaseDatabaseWrapper) -> None:
        """Roll back and release named locks."""
        connection.connection.rollback()
        with connection.connection.cursor() as cursor:
            cursor.execute("DO RELEASE_ALL_LOCKS()")

    def read_settings(self, connection: BaseDatabaseWrapper) -> Sequence[Any] | None:
        """Return the current database."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT DATABASE()")
            name: Sequence[Any] = cursor.fetchone()
            return name

    def restore_settings(self, connection: BaseDatabaseWrapper, settings: Sequence[Any]) -> None:
        """Use the database."""
        with connection.cursor() as cursor:
            name = settings[0] if settings else connection.settings_dict["NAME"]
            cursor.execute(f"USE {connection.ops.quote_name(name)}")
