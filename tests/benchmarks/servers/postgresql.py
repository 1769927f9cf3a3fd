"""PostgreSQL, as the benchmark needs it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from tests.databases import address


class PostgreSQLServer:
    """A database on a PostgreSQL server, made through its database ``postgres``."""

    def __init__(self, name: str) -> None:
        self._name = self.name = name

    def create(self) -> None:
        with self._connect("postgres") as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{self._name}"')
            connection.execute(f'CREATE DATABASE "{self._name}"')

    def drop(self) -> None:
        with self._connect("postgres") as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{self._name}" WITH (FORCE)')

    def connect(self) -> Any:
        return self._connect(self._name)

    def version(self) -> str:
        with self._connect("postgres") as connection:
            (version,) = connection.execute("SHOW server_version").fetchone() or ("",)
        return f"PostgreSQL {version.split()[0]}, psycopg {psycopg.__version__}"

    def min_age(self, *tables: str) -> None:
        with self.connect() as connection:
            connection.execute(f"VACUUM (ANALYZE) {', '.join(tables)}")
            connection.execute("CHECKPOINT")

    @contextmanager
    def hold_snapshot(self) -> Iterator[None]:
        with self.connect() as connection:
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            connection.execute("SELECT count(*) FROM django_jobs_worker")
            yield
            connection.execute("ROLLBACK")

    def statements(self) -> int | None:
        """Return the transactions so far: in autocommit each statement is one."""
        with self._connect("postgres") as connection:
            row = connection.execute(
                "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = %s", [self._name]
            ).fetchone()
        return int(row[0]) if row else None

    def session_tasks(self) -> list[int] | None:
        with self._connect("postgres") as connection:
            rows = connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend'", [self._name]
            ).fetchall()
        return [pid for (pid,) in rows]

    def instant(self, seconds: str) -> str:
        return f"statement_timestamp() + ({seconds}) * interval '1 second'"

    def _connect(self, name: str) -> psycopg.Connection[Any]:
        where = address("postgresql")
        return psycopg.connect(
            host=where["HOST"],
            port=where["PORT"],
            user=where["USER"],
            password=where["PASSWORD"],
            dbname=name,
            autocommit=True,
        )
