"""PgBouncer in transaction mode before the tests' PostgreSQL: a client has a session for one transaction at a time."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from tests.databases import address
from tests.required import is_missing

from .base import PrivateServer, find_program

CONFIGURATION = """
[databases]
* = {server}

[pgbouncer]
pool_mode = transaction
auth_type = any
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
"""


class PrivatePgBouncer(PrivateServer):
    """Lets everybody on this host in, and logs in at the tests' server as the tests do."""

    user = "postgres"

    def _make(self) -> None:
        self._pgbouncer = find_program("pgbouncer")
        if not self._pgbouncer:
            is_missing("PgBouncer (Debian: pgbouncer)")
        where = {key.lower(): value for key, value in address("postgresql").items() if value}
        text = CONFIGURATION.format(port=self.port, server=" ".join(f"{key}={value}" for key, value in where.items()))
        (self.folder / "pgbouncer.ini").write_text(text)

    def _command(self) -> Sequence[str]:
        assert self._pgbouncer is not None
        return [self._pgbouncer, "pgbouncer.ini"]

    def settings(self) -> dict[str, str]:
        return {**address("postgresql"), "HOST": "127.0.0.1", "PORT": str(self.port)}

    def answers(self) -> bool:
        try:
            psycopg.connect(
                host="127.0.0.1", port=self.port, user="postgres", dbname="postgres", connect_timeout=5
            ).close()
        except psycopg.Error:
            return False
        return True
