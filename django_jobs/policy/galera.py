"""Turn what a node of a Galera cluster tells about itself into findings for ``jobs doctor``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

ONE_WRITER = (
    "Lead all processes that use the jobs' database to one node, by MaxScale, ProxySQL or an address that moves: locks"
    " hold on one node only. With several writers a queue's maximum of running jobs may be exceeded, claims undo each"
    " other, and a request does not find at once what it enqueued at another node (wsrep_sync_wait = 1 waits for it)."
)
INTERLEAVED = 2
"""The value of innodb_autoinc_lock_mode without a lock on the table, which Galera needs."""
QUORUM = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class GaleraFacts:
    """One node. ``undone``: how many of its transactions other nodes have undone since its start."""

    size: int
    status: str
    state: str
    is_ready: bool
    undone: int = 0
    autoinc_lock_mode: int = INTERLEAVED
    ids_are_apart: bool = True

    @classmethod
    def read(cls, variables: Mapping[str, str]) -> Self | None:
        """Return the facts of the server's variables and status, None if the node is in no cluster."""
        if variables.get("wsrep_on") != "ON" or variables.get("wsrep_cluster_size", "0") in {"", "0"}:
            return None
        size = int(variables["wsrep_cluster_size"])
        undone = ("wsrep_local_cert_failures", "wsrep_local_bf_aborts")
        return cls(
            size=size,
            status=variables.get("wsrep_cluster_status", ""),
            state=variables.get("wsrep_local_state_comment", ""),
            is_ready=variables.get("wsrep_ready") == "ON",
            undone=sum(int(variables.get(name) or 0) for name in undone),
            autoinc_lock_mode=int(variables.get("innodb_autoinc_lock_mode", INTERLEAVED)),
            ids_are_apart=int(variables.get("auto_increment_increment", size)) >= size,
        )


def galera_problems(node: GaleraFacts) -> Iterable[tuple[str, str]]:
    """Yield what is wrong now, and what to do."""
    if node.status != "Primary" or not node.is_ready:
        yield (
            f"this Galera node takes no writes: the component is {node.status}, the node {node.state}",
            "Lead processes to a node of the primary component; if there is none, bootstrap the most advanced node.",
        )
    if node.autoinc_lock_mode != INTERLEAVED:
        yield (
            f"innodb_autoinc_lock_mode is {node.autoinc_lock_mode}: the cluster may stop at concurrent inserts",
            "Galera needs innodb_autoinc_lock_mode = 2 on each node.",
        )


def galera_hints(node: GaleraFacts) -> Iterable[tuple[str, str]]:
    """Yield what may go wrong, and what to do."""
    if node.size > 1:
        undone = f"; other nodes have undone {node.undone:,} transactions of this one" if node.undone else ""
        yield f"the database is a Galera cluster of {node.size} nodes{undone}", ONE_WRITER
    if node.size > 1 and not node.ids_are_apart:
        yield (
            "the nodes of the Galera cluster give out the same ids: enqueues at several nodes undo each other",
            "Set wsrep_auto_increment_control = ON on each node, or let one node take all writes.",
        )
    if 1 < node.size < QUORUM and node.status == "Primary":
        yield (
            "a Galera cluster of 2 nodes stops if one of them dies: the other has no majority",
            "Add a third node, or an arbitrator (garbd).",
        )
