"""Sessions of PostgreSQL: settings, locks, temporary tables, and psycopg beside Django's cursors."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from ....policy.session_effects import CALL, COMMON_PLAIN_WORDS, GAP, SessionRules
from ..base.sessions import DriverObserver, SessionStatements

SETTINGS = ("search_path", "role", "statement_timeout", "lock_timeout")
READ_SETTINGS = "SELECT " + ", ".join(f"current_setting('{name}')" for name in SETTINGS)
RESTORE_SETTINGS = "SELECT " + ", ".join(f"set_config('{name}', %s, false)" for name in SETTINGS)
DEFAULTS = tuple(f"SET {name} TO DEFAULT" for name in ("statement_timeout", "lock_timeout", "search_path"))
"""One by one, the time limit first. The role is left: a default would undo Django's option ``assume_role``."""
PLAIN_WORDS = {
    "abort", "analyze", "begin", "copy", "end", "fetch", "lock", "notify", "refresh", "reindex", "start", "vacuum",
}  # fmt: skip
STATEMENT_ARGUMENTS = ("query", "statement")
"""What the generators of psycopg's cursors call the statement of ``execute``, ``stream`` and ``copy``."""


class PostgreSQLSessions(SessionStatements):
    """Sessions in which a value set without LOCAL, or an advisory lock taken without ``_xact_``, stays."""

    rules = SessionRules(
        plain_words=COMMON_PLAIN_WORDS | PLAIN_WORDS,
        transaction_phrases=("set local ", "set transaction ", "set constraints "),
        hints=("set_config", "advisory_lock", "dblink_connect", "setseed", "temp"),
        session_calls=re.compile(
            rf"\b(?:set_config|pg_(?:try_)?advisory_lock(?:_shared)?|dblink_connect(?:_u)?|setseed){CALL}"
            rf"|\b(?:into|create)\b{GAP}(?:(?:(?:local|global)\b{GAP})?temp(?:orary)?\b|\"?pg_temp\b)"
        ),
        transaction_calls=re.compile(rf"\bset_config{CALL}[^()]*,\s*(?:true|'t(?:rue)?')\s*\)"),
    )

    def observe_driver(self, driver_connection: Any, observer: DriverObserver) -> None:
        """Report statements that psycopg sends while no cursor of Django's executes one, whatever sends them."""
        send = getattr(driver_connection, "wait", None)
        if send is None:  # psycopg 2 cannot be observed
            return

        def wait(protocol: Any, *args: Any, **kwargs: Any) -> Any:
            statement = None if observer.is_executing else _statement_of(protocol)
            if statement is None:
                return send(protocol, *args, **kwargs)
            with observer.driver_executes(statement):
                return send(protocol, *args, **kwargs)

        driver_connection.wait = wait

    def release(self, connection: BaseDatabaseWrapper) -> None:
        """Roll back, release advisory locks, drop temporary tables."""
        driver_connection = connection.connection
        driver_connection.rollback()
        driver_connection.autocommit = True
        with driver_connection.cursor() as cursor:
            cursor.execute("DISCARD ALL")

    def read_settings(self, connection: BaseDatabaseWrapper) -> Sequence[Any] | None:
        """Return the schemas that are searched, the role, and the time limits."""
        with connection.cursor() as cursor:
            cursor.execute(READ_SETTINGS)
            settings: Sequence[Any] = cursor.fetchone()
            return settings

    def restore_settings(self, connection: BaseDatabaseWrapper, settings: Sequence[Any]) -> None:
        """Set them for the session: a value that was set with LOCAL is replaced, too."""
        with connection.cursor() as cursor:
            if settings:
                cursor.execute(RESTORE_SETTINGS, settings)
                return
            for statement in DEFAULTS:
                cursor.execute(statement)


def _statement_of(protocol: Any) -> str | None:
    """Return the statement that one of psycopg's generators is about to send, None if it sends none of a caller's.

    By the generator's arguments, which psycopg does not document: its cursors offer no hook, and all pass here.
    Commits, fetches and the like have none. Empty if it is no text: a composed one, or bytes.
    """
    frame = getattr(protocol, "gi_frame", None)
    arguments = {} if frame is None else frame.f_locals
    for name in STATEMENT_ARGUMENTS:
        if name in arguments:
            statement = arguments[name]
            return statement if isinstance(statement, str) else ""
    return None
