"""Ask the database about itself: its clock, who holds back vacuum, settings that weaken a promise."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.db import Error as DatabaseError

from ...conf import get_settings
from ...policy.doctor import LONG_TRANSACTION_SECONDS, ServerFacts, UnsafeSetting, VacuumBlocker
from ..clock import database_now
from ..dialects import open_dialect
from ..dialects.postgresql.jobs import CHANNEL

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

LISTEN_SECONDS = 2.0

POSTGRESQL_SNAPSHOTS = """
SELECT format('process %%s (%%s, %%s, %%s)', pid, usename, coalesce(nullif(application_name, ''), 'no name'), state),
       extract(epoch FROM clock_timestamp() - xact_start)::float8, left(regexp_replace(query, '\\s+', ' ', 'g'), 200)
FROM pg_stat_activity
WHERE pid <> pg_backend_pid() AND datname = current_database() AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL)
  AND xact_start < clock_timestamp() - %(seconds)s * interval '1 second'
UNION ALL
SELECT format('replication slot %%s (%%s)', slot_name, CASE WHEN active THEN 'active' ELSE 'not active' END), NULL, ''
FROM pg_replication_slots
WHERE xmin IS NOT NULL AND age(xmin) > 100000
UNION ALL
SELECT format('prepared transaction %%s', gid), extract(epoch FROM clock_timestamp() - prepared)::float8, ''
FROM pg_prepared_xacts
WHERE prepared < clock_timestamp() - %(seconds)s * interval '1 second'
ORDER BY 2 DESC NULLS LAST
LIMIT 5
"""
POSTGRESQL_DEAD_ROWS = "SELECT n_dead_tup FROM pg_stat_user_tables WHERE relid = 'django_jobs_job'::regclass"
POSTGRESQL_HEAD = """
EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON)
SELECT id FROM django_jobs_job WHERE state = 'ready' ORDER BY queue_name, priority, ready_at, id LIMIT 1
"""
POSTGRESQL_SETTINGS = "SELECT name, setting FROM pg_settings WHERE name = ANY(%s)"
MYSQL_SNAPSHOTS = """
SELECT concat('connection ', trx_mysql_thread_id, ' (', lower(trx_state), ')'),
       timestampdiff(SECOND, trx_started, now()), left(coalesce(trx_query, ''), 200)
FROM information_schema.innodb_trx
WHERE trx_mysql_thread_id <> connection_id() AND trx_started <= now() - INTERVAL %s SECOND
ORDER BY trx_started LIMIT 5
"""
MYSQL_ENGINES = """
SELECT table_name, engine FROM information_schema.tables
WHERE table_schema = database() AND table_name LIKE 'django\\_jobs\\_%%' AND engine <> 'InnoDB'
"""
MYSQL_SETTING = "SELECT @@GLOBAL.innodb_flush_log_at_trx_commit"


def read_server(*, using: str | None = None) -> ServerFacts:
    """Return what the database tells. What it refuses to a user without the right to see it is left out."""
    _, connection = open_dialect(using)
    clock_skew_seconds = (datetime.now(UTC) - database_now(using=connection.alias)).total_seconds()
    read: Callable[..., ServerFacts] = {"postgresql": _postgresql, "mysql": _mysql}.get(
        connection.vendor, _sqlite
    )
    return read(connection, clock_skew_seconds, _settings_of(connection))


def _settings_of(connection: BaseDatabaseWrapper) -> list[UnsafeSetting]:
    return [] if connection.settings_dict.get("AUTOCOMMIT", True) else [UnsafeSetting.AUTOCOMMIT_OFF]


def _postgresql(
    connection: BaseDatabaseWrapper, clock_skew_seconds: float, unsafe_settings: list[UnsafeSetting]
) -> ServerFacts:
    held = _rows(connection, POSTGRESQL_SNAPSHOTS, {"seconds": LONG_TRANSACTION_SECONDS})
    dead = _rows(connection, POSTGRESQL_DEAD_ROWS)
    head = _rows(connection, POSTGRESQL_HEAD)
    names = ["fsync", "synchronous_commit", "autovacuum", "track_counts"]
    setting = dict(_rows(connection, POSTGRESQL_SETTINGS, [names]))
    if "off" in (setting.get("fsync"), setting.get("synchronous_commit")):
        unsafe_settings.append(UnsafeSetting.NOT_DURABLE)
    if "off" in (setting.get("autovacuum"), setting.get("track_counts")):
        unsafe_settings.append(UnsafeSetting.NO_AUTOVACUUM)
    return ServerFacts(
        clock_skew_seconds=clock_skew_seconds,
        vacuum_blockers=[
            VacuumBlocker(holder=holder, age_seconds=age, query=query) for holder, age, query in held
        ],
        dead_rows=dead[0][0] if dead else None,
        head_pages=_pages(head[0][0][0]["Plan"]) if head else None,
        notify_works=_receives_notifications(connection) if get_settings().worker.notify else None,
        unsafe_settings=unsafe_settings,
    )


def _pages(plan: dict[str, Any]) -> int:
    return int(plan.get("Shared Hit Blocks", 0) + plan.get("Shared Read Blocks", 0))


def _receives_notifications(connection: BaseDatabaseWrapper) -> bool | None:
    """Listen as a worker does and ring; None without psycopg 3, which a worker needs for that too."""
    try:
        import psycopg
    except ImportError:
        return None
    word = f"doctor {os.getpid()}"
    with psycopg.connect(**connection.get_connection_params(), autocommit=True) as listening:
        listening.execute(f"LISTEN {CHANNEL}")
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, word])
        return any(
            heard.payload == word for heard in listening.notifies(timeout=LISTEN_SECONDS, stop_after=1)
        )


def _mysql(
    connection: BaseDatabaseWrapper, clock_skew_seconds: float, unsafe_settings: list[UnsafeSetting]
) -> ServerFacts:
    held = _rows(connection, MYSQL_SNAPSHOTS, [LONG_TRANSACTION_SECONDS])
    if _rows(connection, MYSQL_ENGINES, []):
        unsafe_settings.append(UnsafeSetting.NO_TRANSACTIONS)
    if _rows(connection, MYSQL_SETTING) == [(0,)]:
        unsafe_settings.append(UnsafeSetting.NOT_DURABLE)
    return ServerFacts(
        clock_skew_seconds=clock_skew_seconds,
        vacuum_blockers=[
            VacuumBlocker(holder=holder, age_seconds=age, query=query) for holder, age, query in held
        ],
        unsafe_settings=unsafe_settings,
    )


def _sqlite(
    connection: BaseDatabaseWrapper, clock_skew_seconds: float, unsafe_settings: list[UnsafeSetting]
) -> ServerFacts:
    if (connection.settings_dict.get("OPTIONS") or {}).get("transaction_mode", "").upper() != "IMMEDIATE":
        unsafe_settings.append(UnsafeSetting.DEFERRED)
    if _rows(connection, "PRAGMA journal_mode") not in ([("wal",)], [("memory",)]):
        unsafe_settings.append(UnsafeSetting.NO_WAL)
    log = Path(f"{connection.settings_dict['NAME']}-wal")
    return ServerFacts(
        clock_skew_seconds=clock_skew_seconds,
        log_bytes=log.stat().st_size if log.exists() else None,
        unsafe_settings=unsafe_settings,
    )


def _rows(connection: BaseDatabaseWrapper, statement: str, values: Any = None) -> list[Any]:
    """Return the rows, or none where this user may not see them."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement, values)
            return list(cursor.fetchall())
    except DatabaseError:
        return []
