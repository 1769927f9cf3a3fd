"""A PostgreSQL cluster in a folder of its own."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import psycopg

from tests.concurrency import wait_until
from tests.required import is_missing

from .base import PrivateServer, find_program


class PrivatePostgreSQL(PrivateServer):
    """Everybody on this host is trusted; all settings are the server's defaults, but for ``settings_of_server``."""

    user = "postgres"
    FAST, IMMEDIATE = signal.SIGINT, signal.SIGQUIT

    def __init__(self, **settings_of_server: str) -> None:
        self._settings_of_server = {"listen_addresses": "127.0.0.1", **settings_of_server}
        super().__init__()

    def _make(self) -> None:
        self._initdb = find_program("initdb", "usr/lib/postgresql/*/bin", "usr/pgsql-*/bin")
        self._postgres = find_program("postgres", "usr/lib/postgresql/*/bin", "usr/pgsql-*/bin")
        if not self._initdb or not self._postgres:
            is_missing("PostgreSQL's own programs, initdb and postgres (Debian: postgresql)")
        self._run(
            self._initdb, "--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8",
            "--locale=C", "--pgdata", str(self.folder / "data"),
        )  # fmt: skip

    def _command(self) -> Sequence[str]:
        assert self._postgres is not None
        return [
            self._postgres, "-D", str(self.folder / "data"), "-p", str(self.port), "-k", str(self.folder),
            *(f"--{name}={value}" for name, value in self._settings_of_server.items()),
        ]  # fmt: skip

    def trust(self, address: str) -> None:
        """Let another host connect; before the start."""
        with (self.folder / "data" / "pg_hba.conf").open("a") as file:
            file.write(f"host all all {address}/32 trust\n")

    def settings(self) -> dict[str, str]:
        return {"HOST": "127.0.0.1", "PORT": str(self.port), "USER": "postgres", "PASSWORD": ""}

    def answers(self) -> bool:
        try:
            self._connect("postgres").close()
        except psycopg.Error:
            return False
        return True

    def create_database(self, name: str) -> None:
        with self._connect("postgres") as connection:
            connection.execute(f'CREATE DATABASE "{name}"')

    def execute(self, statement: str) -> None:
        """Execute a statement as the superuser, outside of a transaction."""
        with self._connect("postgres") as connection:
            connection.execute(statement)

    def crash(self) -> None:
        """Kill the postmaster and its children; these would go on for a while and keep the folder."""
        assert self._process is not None
        pid = self._process.pid
        children = [int(one) for one in _children(pid)]
        self._process.send_signal(signal.SIGSTOP)
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        super().crash()
        wait_until(lambda: not any(_is_there(child) for child in children), "all backends to be gone")

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop all its processes within the block: connections stay open and new ones get no answer."""
        assert self._process is not None
        pids = [self._process.pid]
        try:
            os.kill(pids[0], signal.SIGSTOP)  # first: it starts no more
            for child in _children(pids[0]):
                with suppress(ProcessLookupError):
                    os.kill(int(child), signal.SIGSTOP)
                    pids.append(int(child))
            yield
        finally:
            for pid in reversed(pids):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def _connect(self, name: str) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user="postgres",
            dbname=name,
            autocommit=True,
            connect_timeout=5,
            target_session_attrs="any",  # whatever the environment says
        )


class PostgreSQLStandby(PrivatePostgreSQL):
    """A copy of a primary that runs, which follows it by streaming replication."""

    def __init__(self, primary: PrivatePostgreSQL) -> None:
        self._primary = primary
        super().__init__()

    def _make(self) -> None:
        self._postgres = find_program("postgres", "usr/lib/postgresql/*/bin", "usr/pgsql-*/bin")
        copy = find_program("pg_basebackup", "usr/lib/postgresql/*/bin", "usr/pgsql-*/bin")
        if not self._postgres or not copy:
            is_missing("PostgreSQL's own programs, postgres and pg_basebackup (Debian: postgresql)")
        self._run(
            copy, "--host=127.0.0.1", f"--port={self._primary.port}", "--username=postgres", "--write-recovery-conf",
            "--checkpoint=fast", "--no-sync", "--pgdata", str(self.folder / "data"),
        )  # fmt: skip

    def promote(self) -> None:
        """Make a primary of it, and wait until it takes writes."""
        self.execute("SELECT pg_promote()")


def _children(pid: int) -> list[str]:
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:  # noqa: PTH123 - reads as it is named
        return file.read().split()


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
