"""PgBouncer before the tests' PostgreSQL, in a mode of its own, and its console."""

from __future__ import annotations

import signal
from collections.abc import Sequence

import psycopg

from tests.databases import address
from tests.required import is_missing

from .base import PrivateServer, find_program

CONFIGURATION = """
[databases]
* = {server}

[pgbouncer]
pool_mode = {mode}
auth_type = any
admin_users = postgres
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
{options}
"""


class PrivatePgBouncer(PrivateServer):
    """Lets everybody on this host in, and logs in at the tests' server as the tests do.

    ``mode``: for how long a client has a session of the server: "session", "transaction" or "statement". ``options``
    are others of its configuration, such as ``max_client_conn=5``.
    """

    user = "postgres"

    def __init__(self, mode: str = "transaction", **options: int) -> None:
        self._mode, self._options = mode, options
        super().__init__()

    def _make(self) -> None:
        self._pgbouncer = find_program("pgbouncer")
        if not self._pgbouncer:
            is_missing("PgBouncer (Debian: pgbouncer)")
        self._write()

    def _write(self) -> None:
        where = {key.lower(): value for key, value in address("postgresql").items() if value}
        text = CONFIGURATION.format(
            port=self.port,
            mode=self._mode,
            options="\n".join(f"{key} = {value}" for key, value in self._options.items()),
            server=" ".join(f"{key}={value}" for key, value in where.items()),
        )
        (self.folder / "pgbouncer.ini").write_text(text)

    def _command(self) -> Sequence[str]:
        assert self._pgbouncer is not None
        return [self._pgbouncer, "pgbouncer.ini"]

    def settings(self) -> dict[str, str]:
        return {**address("postgresql"), "HOST": "127.0.0.1", "PORT": str(self.port)}

    def answers(self) -> bool:
        try:
            self.connect("postgres").close()
        except psycopg.Error:
            return False
        return True

    def connect(self, name: str) -> psycopg.Connection:
        """Return a client's connection to the database ``name``."""
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user="postgres", dbname=name, autocommit=True, connect_timeout=60
        )

    def reload(self, mode: str | None = None, **options: int) -> None:
        """Change its configuration; clients stay connected."""
        self._mode = mode or self._mode
        self._options |= options
        self._write()
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def command(self, text: str) -> None:
        """Give its console a command, PAUSE for example, and wait until it is done."""
        client = self.connect("pgbouncer")
        client.pgconn.exec_(text.encode())
        client.close()
