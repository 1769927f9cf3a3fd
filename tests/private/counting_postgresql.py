"""A PostgreSQL cluster that counts statements and what is logged (15 and later), with room for many workers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .postgresql import PrivatePostgreSQL

CHANGES = (
    "SELECT relname, n_tup_ins, n_tup_upd - n_tup_hot_upd, n_tup_del, n_tup_hot_upd, n_dead_tup"
    " FROM pg_stat_user_tables"
)

WAL = """
SELECT "resource_manager/record_type", count, record_size
FROM pg_get_wal_stats(%s::pg_lsn, pg_current_wal_flush_lsn(), true)
"""
INDEX_ENTRIES = ("Btree/INSERT_LEAF", "Btree/INSERT_UPPER", "Btree/INSERT_META", "Btree/SPLIT_L", "Btree/SPLIT_R")


@dataclass(frozen=True, slots=True, kw_only=True)
class WalWritten:
    """What was added to the write-ahead log: bytes of records, and how many of them are entries of indexes."""

    bytes: int
    index_entries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TableChanges:
    """Rows of one table written since its creation; ``hot`` updates write no index and leave no work to vacuum."""

    inserted: int
    updated: int
    deleted: int
    hot: int
    dead: int

    def since(self, before: TableChanges) -> TableChanges:
        """Return what was written since ``before``."""
        return TableChanges(
            inserted=self.inserted - before.inserted,
            updated=self.updated - before.updated,
            deleted=self.deleted - before.deleted,
            hot=self.hot - before.hot,
            dead=self.dead - before.dead,
        )


class CountingPostgreSQL(PrivatePostgreSQL):
    """Counts statements by text. Its autovacuum has the server's default settings."""

    def _command(self) -> Sequence[str]:
        options = ("shared_preload_libraries=pg_stat_statements", "max_connections=600")
        return [*super()._command(), *(part for option in options for part in ("-c", option))]

    def start(self) -> None:
        super().start()
        for extension in ("pg_stat_statements", "pg_walinspect"):
            self.execute(f"CREATE EXTENSION IF NOT EXISTS {extension}")

    def forget_statements(self) -> None:
        """Begin to count anew."""
        self.execute("SELECT pg_stat_statements_reset()")

    def statements(self, database: str) -> dict[str, int]:
        """Return how often each statement was executed in the database; BEGIN and COMMIT are statements."""
        with self._connect("postgres") as connection:
            rows = connection.execute(
                "SELECT query, sum(calls) FROM pg_stat_statements JOIN pg_database ON pg_database.oid = dbid"
                " WHERE datname = %s GROUP BY query",
                [database],
            ).fetchall()
        return {str(query): int(str(calls)) for query, calls in rows}

    def rows(self, database: str, beginning: str) -> int:
        """Return how many rows the statements with this beginning have returned or written."""
        with self._connect("postgres") as connection:
            found = connection.execute(
                "SELECT coalesce(sum(rows), 0) FROM pg_stat_statements JOIN pg_database ON pg_database.oid = dbid"
                " WHERE datname = %s AND starts_with(query, %s)",
                [database, beginning],
            ).fetchone()
        assert found is not None
        return int(str(found[0]))

    def wal_position(self) -> str:
        """Return the end of the write-ahead log, for ``wal_since``."""
        return str(self._ask("postgres", "SELECT pg_current_wal_insert_lsn()"))

    def wal_since(self, position: str) -> WalWritten:
        """Return what was logged since then, without the images of whole pages that follow a checkpoint."""
        self.execute("SELECT pg_switch_wal()")  # all of it is on the disk then
        with self._connect("postgres") as connection:
            rows = connection.execute(WAL, [position]).fetchall()
        found = {str(kind): (int(str(count)), int(str(size))) for kind, count, size in rows}
        return WalWritten(
            bytes=sum(size for _, size in found.values()),
            index_entries=sum(found[kind][0] for kind in INDEX_ENTRIES if kind in found),
        )

    def table_changes(self, database: str) -> dict[str, TableChanges]:
        """Return what was written to each table. A session tells its counts up to ten seconds late."""
        with self._connect(database) as connection:
            rows = connection.execute(CHANGES).fetchall()
        return {
            str(name): TableChanges(
                **dict(zip(("inserted", "updated", "deleted", "hot", "dead"), map(int, map(str, counts)), strict=True))
            )
            for name, *counts in rows
        }

    def table_bytes(self, database: str) -> int:
        """Return the size of all tables with their indexes."""
        return int(str(self._ask(database, "SELECT sum(pg_total_relation_size(relid)) FROM pg_stat_user_tables")))

    def _ask(self, database: str, question: str) -> object:
        with self._connect(database) as connection:
            row = connection.execute(question).fetchone()  # type: ignore[arg-type]
        assert row is not None
        return row[0]
