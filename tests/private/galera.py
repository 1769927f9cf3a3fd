"""A Galera cluster of MariaDB nodes on this host, each with a data directory and ports of its own."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import MySQLdb

from tests.process.proxy import Proxy
from tests.required import is_missing

from .base import find_program, free_port
from .mariadb import PrivateMariaDB

PROVIDERS = ("usr/lib/galera/libgalera_smm.so", "usr/lib*/galera-4/libgalera_smm.so", "usr/lib/*/libgalera_smm.so")


class GaleraNode(PrivateMariaDB):
    """A node that founds a cluster, or joins that of ``peer`` and copies its data by rsync."""

    START_SECONDS = 120

    def __init__(self, peer: GaleraNode | None = None) -> None:
        self._peer = peer
        self.group_port, self.transfer_port, self._copy_port = free_port(), free_port(), free_port()
        super().__init__()

    def _make(self) -> None:
        self._provider = next((str(path) for one in PROVIDERS for path in Path("/").glob(one)), None)
        if self._provider is None or not find_program("rsync"):
            is_missing("Galera (Debian: galera-4 and rsync)")
        super()._make()

    def _command(self) -> Sequence[str]:
        peer = "" if self._peer is None else f"127.0.0.1:{self._peer.group_port}"
        provider_options = {
            "gmcast.listen_addr": f"tcp://127.0.0.1:{self.group_port}",
            "ist.recv_addr": f"127.0.0.1:{self.transfer_port}",
            "base_port": self.group_port,
            "gcache.size": "16M",
        }
        return [
            *super()._command(), "--wsrep-on=ON", f"--wsrep-provider={self._provider}",
            f"--wsrep-cluster-address=gcomm://{peer}", "--wsrep-cluster-name=tests",
            f"--wsrep-node-name=node{self.port}", f"--wsrep-node-address=127.0.0.1:{self.group_port}",
            f"--wsrep-node-incoming-address=127.0.0.1:{self.port}", "--wsrep-sst-method=rsync",
            f"--wsrep-sst-receive-address=127.0.0.1:{self._copy_port}", "--binlog-format=ROW",
            "--innodb-autoinc-lock-mode=2",
            "--wsrep-provider-options=" + ";".join(f"{key}={value}" for key, value in provider_options.items()),
        ]  # fmt: skip

    def answers(self) -> bool:
        """Tell whether it takes connections and writes: not before it has the cluster's data."""
        try:
            return self.status("wsrep_ready") == "ON" and self.status("wsrep_local_state_comment") == "Synced"
        except MySQLdb.Error:
            return False

    def status(self, name: str) -> str:
        """Return one of the server's status variables, empty if it has none of this name."""
        return str(self.execute(f"SHOW GLOBAL STATUS LIKE '{name}'").get("Value", ""))


class GaleraCluster:
    """Nodes that all take writes; clients of ``settings`` are led to one of them by a proxy, as by MaxScale."""

    def __init__(self, size: int = 3) -> None:
        self.nodes: list[GaleraNode] = []
        self._proxy: Proxy | None = None
        try:
            for _ in range(size):
                self.nodes.append(GaleraNode(self.nodes[0] if self.nodes else None))
        except BaseException:
            self.remove()
            raise

    def start(self, name: str, *, is_synchronous: bool = True) -> None:
        """Start all with an empty database."""
        for node in self.nodes:
            node.start()
        self.nodes[0].create_database(name)
        self._proxy = Proxy("127.0.0.1", self.nodes[0].port)

    def settings(self) -> dict[str, str]:
        """Return HOST, PORT, USER and PASSWORD that lead to the writer node."""
        assert self._proxy is not None
        return self.nodes[0].settings() | {"PORT": str(self._proxy.port)}

    def variables(self) -> dict[str, str]:
        """Return none."""
        return {}

    def fail_over(self) -> None:
        """Kill the writer node, and make another the writer."""
        assert self._proxy is not None
        self.nodes[0].crash()
        self._proxy.lead_to(self.nodes[1].port)
        self._proxy.cut()

    def remove(self) -> None:
        """Kill what runs and delete the folders."""
        if self._proxy is not None:
            self._proxy.close()
        for node in self.nodes:
            with suppress(OSError):
                node.remove()
            shutil.rmtree(node.folder, ignore_errors=True)
