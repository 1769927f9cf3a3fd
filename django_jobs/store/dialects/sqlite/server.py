"""Questions to SQLite: transactions that begin IMMEDIATE, WAL mode, the size of the write-ahead log."""

from __future__ import annotations

from pathlib import Path

from django.db.backends.base.base import BaseDatabaseWrapper

from ....policy.doctor import ServerFacts, UnsafeSetting
from ..base.server import readable_rows

_TAKES_LOCK = {"IMMEDIATE", "EXCLUSIVE"}


class SQLiteServer:
    """Questions to SQLite."""

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
