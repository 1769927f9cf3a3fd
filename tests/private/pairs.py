"""A primary and its replica, which takes over when the primary is killed."""

from __future__ import annotations

from contextlib import suppress
from typing import Protocol

from tests.concurrency import wait_until
from tests.process.proxy import Proxy

from .base import PrivateServer
from .mariadb import PrivateMariaDB
from .postgresql import PostgreSQLStandby, PrivatePostgreSQL


class Pair(Protocol):
    """Two servers at one address. ``is_synchronous``: a commit is acknowledged once the replica has it, too."""

    def start(self, name: str, *, is_synchronous: bool) -> None:
        """Start both with an empty database, the replica following."""

    def settings(self) -> dict[str, str]:
        """Return HOST, PORT, USER and PASSWORD that lead to whichever takes writes."""

    def variables(self) -> dict[str, str]:
        """Return environment variables that a client needs as well."""

    def fail_over(self) -> None:
        """Kill the primary, and make a primary of the replica."""

    def remove(self) -> None:
        """Kill what runs and delete the folders."""


class PostgreSQLPair:
    """Clients know both servers, and libpq finds the one that takes writes."""

    def __init__(self) -> None:
        self._primary = PrivatePostgreSQL()
        self._standby: PostgreSQLStandby | None = None

    def start(self, name: str, *, is_synchronous: bool) -> None:
        self._primary.start()
        self._primary.create_database(name)
        self._standby = PostgreSQLStandby(self._primary)
        self._standby.start()
        if is_synchronous:
            self._primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            self._primary.execute("SELECT pg_reload_conf()")

    def settings(self) -> dict[str, str]:
        assert self._standby is not None
        ports = f"{self._primary.port},{self._standby.port}"
        return {"HOST": "127.0.0.1,127.0.0.1", "PORT": ports, "USER": "postgres", "PASSWORD": ""}

    def variables(self) -> dict[str, str]:
        return {"PGTARGETSESSIONATTRS": "read-write"}

    def fail_over(self) -> None:
        assert self._standby is not None
        self._primary.crash()
        self._standby.promote()

    def remove(self) -> None:
        _remove(self._primary, self._standby)


class MariaDBPair:
    """Replication by GTID, acknowledged if it is synchronous; clients come by a proxy."""

    def __init__(self) -> None:
        common = ("--log-bin", "--log-slave-updates", "--gtid-strict-mode", "--sync-binlog=0")
        self._primary = PrivateMariaDB("--server-id=1", *common)
        self._replica = PrivateMariaDB("--server-id=2", *common)
        self._proxy: Proxy | None = None

    def start(self, name: str, *, is_synchronous: bool) -> None:
        self._primary.start()
        self._replica.start()
        if is_synchronous:
            self._replica.execute("SET GLOBAL rpl_semi_sync_slave_enabled = ON")
        self._replica.execute(
            f"CHANGE MASTER TO master_host='127.0.0.1', master_port={self._primary.port}, master_user='root',"
            " master_use_gtid=slave_pos",
            "START SLAVE",
        )
        wait_until(lambda: self._status()["Slave_IO_Running"] == "Yes", "the replica to follow")
        if is_synchronous:
            self._primary.execute(
                "SET GLOBAL rpl_semi_sync_master_wait_point = AFTER_SYNC",
                "SET GLOBAL rpl_semi_sync_master_timeout = 60000",
                "SET GLOBAL rpl_semi_sync_master_enabled = ON",
            )
        self._primary.create_database(name)
        self._proxy = Proxy("127.0.0.1", self._primary.port)

    def settings(self) -> dict[str, str]:
        assert self._proxy is not None
        return self._primary.settings() | {"PORT": str(self._proxy.port)}

    def variables(self) -> dict[str, str]:
        return {}

    def fail_over(self) -> None:
        assert self._proxy is not None
        self._primary.crash()
        wait_until(self._has_applied_all, "the replica to apply what it has")
        self._replica.execute("STOP SLAVE", "RESET SLAVE ALL")
        self._proxy.lead_to(self._replica.port)
        self._proxy.cut()

    def remove(self) -> None:
        if self._proxy is not None:
            self._proxy.close()
        _remove(self._primary, self._replica)

    def _has_applied_all(self) -> bool:
        status = self._status()
        is_behind = status["Gtid_IO_Pos"] != self._replica.execute("SELECT @@gtid_slave_pos AS place")["place"]
        return status["Slave_IO_Running"] != "Yes" and not is_behind

    def _status(self) -> dict[str, str]:
        return self._replica.execute("SHOW SLAVE STATUS")


def new_pair(vendor: str) -> Pair:
    """Return a pair that is not started yet; ends the test where the programs are missing."""
    return PostgreSQLPair() if vendor == "postgresql" else MariaDBPair()


def _remove(*servers: PrivateServer | None) -> None:
    for server in servers:
        if server is not None:
            with suppress(OSError):
                server.remove()
