"""A MariaDB server with a data directory of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import MySQLdb
from MySQLdb.cursors import DictCursor

from tests.required import is_missing

from .base import PrivateServer, find_program


class PrivateMariaDB(PrivateServer):
    """Root has no password; the buffer is small, all else is the server's default, but for ``options``."""

    user = "mysql"

    def __init__(self, *options: str) -> None:
        self.options = options
        super().__init__()

    def _make(self) -> None:
        self._mariadbd = find_program("mariadbd")
        install = find_program("mariadb-install-db")
        if not self._mariadbd or not install:
            is_missing("MariaDB's own programs, mariadbd and mariadb-install-db (Debian: mariadb-server)")
        self._run(
            install, "--no-defaults", f"--datadir={self.folder / 'data'}", "--skip-test-db",
            "--auth-root-authentication-method=normal", "--skip-name-resolve", "--innodb-buffer-pool-size=32M",
        )  # fmt: skip

    def _command(self) -> Sequence[str]:
        assert self._mariadbd is not None
        return [
            self._mariadbd, "--no-defaults", f"--datadir={self.folder / 'data'}", f"--port={self.port}",
            f"--socket={self.folder / 'socket'}", f"--pid-file={self.folder / 'pid'}", "--bind-address=127.0.0.1",
            "--skip-name-resolve", "--innodb-buffer-pool-size=32M", *self.options,
        ]  # fmt: skip

    def execute(self, *statements: str) -> dict[str, Any]:
        """Execute statements as root; return the first row of the last one by its columns, empty if there is none."""
        connection = self._connect()
        try:
            with connection.cursor(DictCursor) as cursor:
                for statement in statements:
                    cursor.execute(statement)
                return dict(cursor.fetchone() or {})
        finally:
            connection.close()

    def settings(self) -> dict[str, str]:
        return {"HOST": "127.0.0.1", "PORT": str(self.port), "USER": "root", "PASSWORD": ""}

    def answers(self) -> bool:
        try:
            self._connect().close()
        except MySQLdb.Error:
            return False
        return True

    def create_database(self, name: str) -> None:
        connection = self._connect()
        try:
            connection.query(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4")
        finally:
            connection.close()

    def _connect(self) -> Any:
        return MySQLdb.connect(host="127.0.0.1", port=self.port, user="root", connect_timeout=5)
