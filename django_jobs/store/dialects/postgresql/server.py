"""Questions to a PostgreSQL server: what holds up vacuum, dead rows, unsafe settings, whether NOTIFY arrives."""

from __future__ import annotations

import os
from typing import Any

from django.db import DatabaseError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Index

from ....policy.doctor import LONG_TRANSACTION_SECONDS, ServerFacts, UnsafeSetting, VacuumBlocker
from ....policy.notifications import CHANNEL
from ..base.server import readable_rows
from . import table_options

LISTEN_SECONDS = 2.0

VACUUM_BLOCKERS = """
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
DEAD_ROWS = "SELECT n_dead_tup FROM pg_stat_user_tables WHERE relid = 'django_jobs_job'::regclass"
READ_QUEUE_HEAD = """
EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON)
SELECT id FROM django_jobs_job WHERE state = 'ready' ORDER BY queue_name, priority, ready_at, id LIMIT 1
"""
SETTINGS = "SELECT name, setting FROM pg_settings WHERE name = ANY(%s)"
INVALID_INDEXES = """
SELECT index.relname FROM pg_index
JOIN pg_class AS index ON index.oid = pg_index.indexrelid
JOIN pg_class AS jobs ON jobs.oid = pg_index.indrelid
WHERE NOT pg_index.indisvalid AND jobs.relname = ANY(%s) AND pg_table_is_visible(jobs.oid)
"""
HAS_INDEX = """
SELECT 1 FROM pg_index
JOIN pg_class AS index ON index.oid = pg_index.indexrelid
JOIN pg_class AS jobs ON jobs.oid = pg_index.indrelid
WHERE pg_index.indisvalid AND jobs.relname = %s AND index.relname = %s AND pg_table_is_visible(jobs.oid)
"""
HAS_ARGUMENT_INDEX = """
SELECT 1 FROM pg_index
JOIN pg_class AS index ON index.oid = pg_index.indexrelid
JOIN pg_am ON pg_am.oid = index.relam
JOIN pg_attribute AS part ON part.attrelid = pg_index.indrelid AND part.attnum = pg_index.indkey[0]
WHERE pg_index.indisvalid AND pg_index.indpred IS NULL AND pg_index.indnatts = 1 AND pg_am.amname = 'gin'
  AND part.attname = 'arguments' AND pg_index.indrelid = to_regclass('django_jobs_job')
"""


class PostgreSQLServer:
    """Questions to a PostgreSQL server."""

    builds_indexes_online = True

    def read_facts(self, connection: BaseDatabaseWrapper, *, notify: bool) -> ServerFacts:
        """Read the catalogue and the settings, and measure a read of the queue's head."""
        blockers = readable_rows(connection, VACUUM_BLOCKERS, {"seconds": LONG_TRANSACTION_SECONDS})
        dead = readable_rows(connection, DEAD_ROWS)
        head = readable_rows(connection, READ_QUEUE_HEAD)
        names = ["fsync", "synchronous_commit", "autovacuum", "track_counts"]
        settings = dict(readable_rows(connection, SETTINGS, [names]))
        unsafe = []
        if "off" in (settings.get("fsync"), settings.get("synchronous_commit")):
            unsafe.append(UnsafeSetting.NOT_DURABLE)
        if "off" in (settings.get("autovacuum"), settings.get("track_counts")):
            unsafe.append(UnsafeSetting.NO_AUTOVACUUM)
        if not self.takes_all_text(connection):
            unsafe.append(UnsafeSetting.NARROW_TEXT)
        if _refuses_transactions(connection):
            unsafe.insert(0, UnsafeSetting.STATEMENT_POOLING)
        return ServerFacts(
            vacuum_blockers=[
                VacuumBlocker(holder=holder, age_seconds=age, query=query) for holder, age, query in blockers
            ],
            dead_rows=dead[0][0] if dead else None,
            head_pages=_pages(head[0][0][0]["Plan"]) if head else None,
            notify_works=_receives_notifications(connection) if notify else None,
            unsafe_settings=unsafe,
        )

    def unsafe_options(self, connection: BaseDatabaseWrapper) -> list[UnsafeSetting]:
        """Return none."""
        return []

    def takes_all_text(self, connection: BaseDatabaseWrapper) -> bool:
        """Read the database's encoding."""
        return readable_rows(connection, "SHOW server_encoding") in ([("UTF8",)], [])

    def read_invalid_indexes(self, connection: BaseDatabaseWrapper, tables: list[str]) -> list[str]:
        """Return indexes that a failed CREATE INDEX CONCURRENTLY left behind."""
        with connection.cursor() as cursor:
            cursor.execute(INVALID_INDEXES, [tables])
            return [name for (name,) in cursor.fetchall()]

    def has_index(self, connection: BaseDatabaseWrapper, table: str, name: str) -> bool:
        """Ask the catalogue; an index whose build has failed is none."""
        return bool(readable_rows(connection, HAS_INDEX, [table, name]))

    def has_argument_index(self, connection: BaseDatabaseWrapper) -> bool:
        """Ask the catalogue for a GIN index of the arguments alone, whatever its name."""
        return bool(readable_rows(connection, HAS_ARGUMENT_INDEX))

    def argument_index(self, name: str) -> Index:
        """Return a GIN index, which serves containment only and is smaller for it."""
        from django.contrib.postgres.indexes import GinIndex  # needs PostgreSQL's driver

        return GinIndex(fields=["arguments"], opclasses=["jsonb_path_ops"], name=name)

    def table_option_statements(self) -> list[str]:
        """Return an ALTER TABLE for each table whose autovacuum and fillfactor are not the defaults."""
        return table_options.statements()

    def read_lost_table_options(self, connection: BaseDatabaseWrapper) -> list[str]:
        """Ask the catalogue."""
        return table_options.lost_options(connection)


def _pages(plan: dict[str, Any]) -> int:
    return int(plan.get("Shared Hit Blocks", 0) + plan.get("Shared Read Blocks", 0))


def _refuses_transactions(connection: BaseDatabaseWrapper) -> bool:
    """Begin a transaction: a pooler that has a session for one statement only ends the connection instead."""
    try:
        with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        connection.close()
        return "statement pooling" in str(error)
    return False


def _receives_notifications(connection: BaseDatabaseWrapper) -> bool | None:
    """Listen as a worker does, and notify; None without psycopg 3, which a worker needs for that too."""
    try:
        import psycopg
    except ImportError:
        return None
    word = f"doctor {os.getpid()}"
    with connection.wrap_database_errors:
        listening = psycopg.connect(**connection.get_connection_params(), autocommit=True)
    with listening:
        listening.execute(f"LISTEN {CHANNEL}")
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, word])
        return any(heard.payload == word for heard in listening.notifies(timeout=LISTEN_SECONDS, stop_after=1))
