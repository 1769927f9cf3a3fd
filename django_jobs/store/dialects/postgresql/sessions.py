"""Sessions of PostgreSQL: settings, locks, temporary tables, and psycopg beside Django's cursors."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from inspect import currentframe
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from ....policy.session_effects import CALL, COMMON_PLAIN_WORDS, GAP, SessionRules
from ..base.sessions import DriverObserver, SessionStatements

SETTINGS = ("search_path", "role", "statement_timeout", "lock_timeout")
READ_SETTINGS = "SELECT " + ", ".join(f"current_setting('{name}')" for name in SETTINGS)
RESTORE_SETTINGS = "SELECT " + ", ".join(f"set_config('{name}', %s, false)" for name in SETTINGS)
PLAIN_WORDS = {
    "abort", "analyze", "begin", "copy", "end", "fetch", "lock", "notify", "refresh", "reindex", "start", "vacuum",
}  # fmt: skip
CURSORS_OF_DJANGO = "django.db.backends."


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
        """Report each cursor of psycopg that Django does not open; psycopg's ``execute`` opens one."""
        open_cursor = driver_connection.cursor

        def cursor(*args: Any, **kwargs: Any) -> Any:
            if not _is_called_by_django():
                observer.driver_used("")
            return open_cursor(*args, **kwargs)

        with suppress(AttributeError):  # psycopg 2 cannot be observed
            driver_connection.cursor = cursor

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
            cursor.execute(RESTORE_SETTINGS, settings)


def _is_called_by_django() -> bool:
    """Tell whether the caller's caller is one of Django's database backends.

    By its frame: Django opens cursors outside of its execute wrappers, so ``is_executing`` cannot tell, and a factory
    of cursors would have to cover each kind that psycopg has.
    """
    frame = currentframe()
    caller = None if frame is None or frame.f_back is None else frame.f_back.f_back
    return caller is None or str(caller.f_globals.get("__name__")).startswith(CURSORS_OF_DJANGO)
