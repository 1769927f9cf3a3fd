"""MariaDB and MySQL, as the benchmark needs them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib import metadata
from typing import Any

import MySQLdb

from tests.databases import address


class MySQLServer:
    """A database on a MariaDB or MySQL server."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._counting: Any = None
        self._own_counts = 0

    def create(self) -> None:
        with closing(self._connect("")) as connection:
            connection.query(f"DROP DATABASE IF EXISTS `{self._name}`")
            connection.query(f"CREATE DATABASE `{self._name}` CHARACTER SET utf8mb4")

    def drop(self) -> None:
        with closing(self._connect("")) as connection:
            connection.query(f"DROP DATABASE IF EXISTS `{self._name}`")

    def connect(self) -> Any:
        return self._connect(self._name)

    def version(self) -> str:
        version = str(self._ask("SELECT version()")[0])
        title = "MariaDB" if "MariaDB" in version else "MySQL"
        return f"{title} {version.partition('-')[0]}, mysqlclient {metadata.version('mysqlclient')}"

    def min_age(self, *tables: str) -> None:
        self._ask(f"ANALYZE TABLE {', '.join(tables)}")

    @contextmanager
    def hold_snapshot(self) -> Iterator[None]:
        with closing(self.connect()) as connection, connection.cursor() as cursor:
            cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
            cursor.execute("SELECT count(*) FROM django_jobs_worker")
            cursor.fetchall()
            yield
            cursor.execute("ROLLBACK")

    def statements(self) -> int | None:
        """Return the statements of all clients of the server but this one, which counts on a connection kept open."""
        if self._counting is None:
            self._counting = self._connect("")
        self._own_counts += 1
        with self._counting.cursor() as cursor:
            cursor.execute("SHOW GLOBAL STATUS LIKE 'Questions'")
            return int(cursor.fetchall()[0][1]) - self._own_counts

    def session_tasks(self) -> list[int] | None:
        """Return MariaDB's threads. MySQL tells them by the performance schema only, which may be off."""
        with closing(self._connect("")) as connection, connection.cursor() as cursor:
            try:
                cursor.execute("SELECT tid FROM information_schema.processlist WHERE db = %s", [self._name])
            except MySQLdb.Error:
                return None
            return [int(task) for (task,) in cursor.fetchall()]

    def instant(self, seconds: str) -> str:
        return f"TIMESTAMPADD(SECOND, {seconds}, UTC_TIMESTAMP(6))"

    def _ask(self, statement: str) -> Any:
        with closing(self.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall()[0]

    def _connect(self, name: str) -> Any:
        where = address("mysql")
        connection = MySQLdb.connect(
            host=where["HOST"],
            port=int(where["PORT"]),
            user=where["USER"],
            password=where["PASSWORD"],
            database=name,
            charset="utf8mb4",
            autocommit=True,
        )
        connection.query("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
        return connection
