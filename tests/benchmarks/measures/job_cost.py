"""What one job costs PostgreSQL from its enqueue to its deletion: statements, bytes of log, entries of indexes, disk.

Counted by the server (pg_stat_statements, pg_walinspect), so that the machine and what else runs on it do not matter.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from django_jobs.models import Job
from django_jobs.policy.states import State
from django_jobs.store.lifecycle.prune import prune
from tests.private.counting_postgresql import CountingPostgreSQL

from ..jobs import noop
from ..queue_names import QUEUE
from ..worker import WorkerProcess
from .own_server import at_server
from .place import Figures, Place


def engine(place: Place) -> Figures:
    """Enqueue one by one, then many at once, drain all of them and delete them."""
    if place.vendor != "postgresql":
        return {}
    singles, many = place.sizes.enqueue, place.sizes.bulk
    with at_server(place, CountingPostgreSQL()) as server:
        noop.enqueue(0)  # what is read once is read
        figures = _of_one(place, server, "single", singles, lambda: [noop.enqueue(x) for x in range(singles)])
        figures |= _of_one(place, server, "bulk", many, lambda: noop.enqueue_many([(x,) for x in range(many)]))
        figures |= _of_one(place, server, "run", singles + many, lambda: _drain(place))
        figures["disk_bytes"] = server.table_bytes(place.server.name) / (singles + many)
        figures |= _of_one(place, server, "prune", singles + many, lambda: prune({State.SUCCEEDED: timedelta(0)}))
        if Job.objects.exists():
            raise RuntimeError("not all jobs were deleted")
    return figures


def _drain(place: Place) -> None:
    with WorkerProcess(QUEUE) as worker:
        place.wait_until_done(worker)


def _of_one(place: Place, server: CountingPostgreSQL, name: str, number: int, call: Callable[[], object]) -> Figures:
    """Return the figures of one of so many jobs; those of the worker's own start are among them."""
    server.forget_statements()
    position = server.wal_position()
    call()
    wal = server.wal_since(position)
    statements = sum(server.statements(place.server.name).values())
    return {
        f"{name}_statements": statements / number,
        f"{name}_wal_bytes": wal.bytes / number,
        f"{name}_index_entries": wal.index_entries / number,
    }
