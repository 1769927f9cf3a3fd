"""Empty the tables after a test, quickly. The tests that need a real transaction are most of the suite.

Django's flush, which pytest-django calls, then makes all content types and permissions anew; here they stay, and are
made anew only where a test has lost some. On PostgreSQL it truncates, which makes new files for each of thirty tables
and their indexes; here only tables that a test has made large are, because dead rows would be in the way of the
next one and of its plans.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from django.core.management.commands import flush
from django.db import connection

KEPT = {"django_content_type", "auth_permission"}
LARGE_BYTES = 256 * 1024
QUICK = {"synchronous_commit": "off", "deadlock_timeout": "50ms"}
SIZES = "SELECT relname FROM pg_class WHERE relname = ANY(%s) AND relkind = 'r' AND pg_relation_size(oid) > %s"


@contextmanager
def quick_flush(complete: int) -> Iterator[None]:
    """Have Django's flush empty the tables so; ``complete`` is how many permissions there are to be.

    For every connection: a test with a loop in its thread, as those of the browser have, gets another one.
    """
    operations = type(connection.ops)
    flush_all, signal_all = operations.sql_flush, flush.emit_post_migrate_signal

    def sql_flush(ops: Any, style: object, tables: Sequence[str], **options: bool) -> list[str]:
        names = [name for name in tables if name not in KEPT]
        if connection.vendor != "postgresql":
            statements: list[str] = flush_all(ops, style, names, **options)
            return statements
        large = _large(names)
        deletes = [f"DELETE FROM {ops.quote_name(name)}" for name in names if name not in large]
        return [*flush_all(ops, style, large, **options), "; ".join(deletes)]

    def signal(*arguments: Any, **options: Any) -> None:
        if permissions() != complete:
            signal_all(*arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(operations, "sql_flush", sql_flush)
        patch.setattr(flush, "emit_post_migrate_signal", signal)
        yield


def make_waits_short() -> None:
    """Have PostgreSQL not wait for the disk at a commit, nor long for a deadlock, in every session with this database.

    Others see a commit at once, and a killed process loses nothing. Servers that tests crash are their own.
    """
    if connection.vendor == "postgresql":
        name = connection.ops.quote_name(connection.settings_dict["NAME"])
        with connection.cursor() as cursor:
            for setting, value in QUICK.items():
                cursor.execute(f"ALTER DATABASE {name} SET {setting} TO '{value}'")
                cursor.execute(f"SET {setting} TO '{value}'")


def permissions() -> int:
    """Count the permissions."""
    from django.contrib.auth.models import Permission

    return Permission.objects.count()


def _large(names: Sequence[str]) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(SIZES, [list(names), LARGE_BYTES])
        return [name for (name,) in cursor.fetchall()]
