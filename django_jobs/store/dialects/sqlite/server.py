"""Questions to SQLite: transactions that begin IMMEDIATE, WAL mode, the size of the write-ahead log."""

from __future__ import annotations

from pathlib import Path

from django.db.backends.base.base import BaseDatabaseWrapper

from ....policy.doctor import ServerFacts, UnsafeSetting
from ..base.server import readable_rows


class SQLiteServer:
    """Questions to SQLite."""

    def read_facts(self, connection: BaseDatabaseWrapper, *, notify: bool) -> ServerFacts:
        """Read the connection's options, the journal mode and the file of the log."""
        unsafe = []
        options = connection.settings_dict.get("OPTIONS") or {}
        if options.get("transaction_mode", "").upper() != "IMMEDIATE":
            unsafe.append(UnsafeSetting.DEFERRED)
        if readable_rows(connection, "PRAGMA journal_mode") not in ([("wal",)], [("memory",)]):
            unsafe.append(UnsafeSetting.NO_WAL)
        log = Path(f"{connection.settings_dict['NAME']}-wal")
        return ServerFacts(log_bytes=log.stat().st_size if log.exists() else None, unsafe_settings=unsafe)

    def takes_all_text(self, connection: BaseDatabaseWrapper) -> bool:
        """Return True: every encoding of SQLite is one of Unicode."""
        return True

    def read_invalid_indexes(self, connection: BaseDatabaseWrapper, tables: list[str]) -> list[str]:
        """Return none: an index is built whole or not at all."""
        return []
