"""What many idle workers cost one PostgreSQL: statements a second, rows and dead rows, bytes of log, memory.

Four ``runworker`` with a quarter of the processes each. Each process has its own claimer, heartbeat, maintenance and
scheduler, as it would on a host of its own; only the memory of a supervisor a process is missing.
"""

from __future__ import annotations

import time

from tests.private.counting_postgresql import CountingPostgreSQL

from ..spent import sessions_cpu, sessions_cpu_since
from .fleet import HOSTS, fleet
from .own_server import at_server
from .place import Figures, Place

SETTLE_SECONDS = 30.0
"""By then all have pruned for the first time, and the server was told of the statements that wrote rows."""


def engine(place: Place) -> Figures:
    """Watch them for three times as long as a single one: some duties are due once a minute."""
    if place.vendor != "postgresql":
        return {}
    seconds = 3 * place.sizes.idle_seconds
    number = HOSTS * max(place.sizes.idle_workers // HOSTS, 1)
    name = place.server.name
    with at_server(place, CountingPostgreSQL()) as server, fleet(HOSTS, number // HOSTS) as workers:
        time.sleep(SETTLE_SECONDS)
        sessions, size, before = sessions_cpu(place.server), server.table_bytes(name), server.table_changes(name)
        position = server.wal_position()
        server.forget_statements()
        time.sleep(seconds)
        statements = server.statements(name)
        wal = server.wal_since(position)
        server_cpu = sessions_cpu_since(place.server, sessions)
        memory = [worker.pss_mib() for worker in workers]
        connections = len(place.server.session_tasks() or ())
        now = server.table_changes(name)
        grown = server.table_bytes(name) - size
    total = sum(statements.values())
    changes = [change.since(before[table]) for table, change in now.items()]
    return {
        "statements_per_second": total / seconds,
        "statements_of_one": total / seconds / number,
        "server_cpu_percent": None if server_cpu is None else 100 * server_cpu / seconds,
        "wal_kib_per_second": wal.bytes / 1024 / seconds,
        "rows_inserted": sum(change.inserted for change in changes),
        "index_updates": sum(change.updated for change in changes),
        "grown_kib": grown / 1024,
        "connections": connections,
        "memory_mib": sum(part for part in memory if part is not None),
    }
