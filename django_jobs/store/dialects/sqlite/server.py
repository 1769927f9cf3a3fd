"""Questions to SQLite: transactions that begin IMMEDIATE, WAL mode, the size of the write-ahead log."""

from __future__ import annotations

from pathlib import Path

from django.db.backends.base.base import BaseDatabaseWrapper

from ....policy.doctor import ServerFacts, UnsafeSetting
from ..base.server import readable_rows

HAS_INDEX = "SELECT 1 FROM sqlite_master WHERE type = 'index' AND tbl_name = %s AND name = %s"
_TAKES_LOCK = {"IMMEDIATE", "EXCLUSIVE"}


class SQLiteServer:
    """Questions to SQLite."""

    builds_indexes_online = False

    def read_facts(self, connection: BaseDatabaseWrapper, *, notify: bool) -> ServerFacts:
        """Read the connection's options, the journal mode and the file of the log."""
        unsafe = self.unsafe_options(connection)
        if readable_rows(connection, "PRAGMA journal_mode") not in ([("wal",)], [("memory",)]):
            unsafe.append(UnsafeSetting.NO_WAL)
        log = Path(f"{connection.settings_dict['NAME']}-wal")
        return ServerFacts(log_bytes=log.stat().st_size if log.exists() else None, unsafe_settings=unsafe)

    def unsafe_options(self, connection: BaseDatabaseWrapper) -> list[UnsafeSetting]:
        """Return DEFERRED if a transaction takes the write lock only when it first writes, behind its reads."""
        mode = (connection.settings_dict.get("OPTIONS") or {}).get("transaction_mode") or ""
        is_shared = connection.settings_dict["NAME"] != ":memory:"
        return [UnsafeSetting.DEFERRED] if is_shared and mode.upper() not in _TAKES_LOCK else []

    def takes_all_text(self, connection: BaseDatabaseWrapper) -> bool:
        """Return True: every encoding of SQLite is one of Unicode."""
        return True

    def read_invalid_indexes(self, connection: BaseDatabaseWrapper, tables: list[str]) -> list[str]:
        """Return none: an index is built whole or not at all."""
        return []

    def has_index(self, connection: BaseDatabaseWrapper, table: str, name: str) -> bool:
        """Ask the catalogue."""
        return bool(readable_rows(connection, HAS_INDEX, [table, name]))

    def has_argument_index(self, connection: BaseDatabaseWrapper) -> bool:
        """Return False: no index serves such a search."""
        return False

    def argument_index(self, name: str) -> None:
        """Return None."""

    def table_option_statements(self) -> list[str]:
        """Return none: SQLite frees the space of a row at once."""
        return []

    def read_lost_table_options(self, connection: BaseDatabaseWrapper) -> list[str]:
        """Return none."""
        return []
