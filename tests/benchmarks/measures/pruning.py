"""What it costs a drain that the worker prunes meanwhile, and whether the tables keep their size.

The worker prunes as it always does, 10,000 jobs a round. The tables have as many jobs that are old enough as are
drained; beside it the same drain, with jobs that are too young. Then all of it once more in the same tables: their size
at the end of the second cycle, to that at the end of the first, tells whether the space of deleted rows is used again.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

from django_jobs.models import Job
from django_jobs.policy.states import State
from django_jobs.store.lifecycle.prune import prune

from ..backlog import execute
from . import drain
from .own_server import own_server
from .place import Figures, Place

LONGEST_SECONDS = 120.0
POLL_SECONDS = 0.2
FEW_DEAD_ROWS = 2_000
DEAD_ROWS = "SELECT sum(n_dead_tup) FROM pg_stat_user_tables WHERE relname ~ '^django_jobs_(job|attempt)$'"
KEEP_EMPTY_PAGES = [f"ALTER TABLE django_jobs_{table} SET (vacuum_truncate = off)" for table in ("job", "attempt")]
"""A table that is empty for a moment would be cut off, and say nothing about the use of its space."""
SIZE = "SELECT pg_total_relation_size('django_jobs_job') + pg_total_relation_size('django_jobs_attempt')"


def engine(place: Place) -> Figures:
    """Drain and prune two times."""
    place = _sized(place)
    with own_server(place):
        if place.vendor == "postgresql":
            execute(place.server, KEEP_EMPTY_PAGES)
        figures = drain.engine("pruning", place)
        pruned = 2 * place.sizes.drain + drain.WARM_UP_JOBS - Job.objects.filter(state=State.SUCCEEDED).count()
        figures = _compared(figures) | {"pruned": float(pruned)}
        if place.vendor != "postgresql":
            return figures
        first = _size_after_pruning(place)
        drain.engine("pruning", place, fresh=False)
        last = _size_after_pruning(place)
    return figures | {"size_mib": last / (1 << 20), "last_size_to_first": last / first}


def limit(place: Place) -> Figures:
    """Drain with as many jobs in the tables, none of them old enough."""
    place = _sized(place)
    with own_server(place):
        return _compared(drain.engine("not_pruning", place))


def _compared(figures: Figures) -> Figures:
    """Keep the rate, and the CPU of a job, which says more than the rate on a busy machine."""
    return {name: figures[name] for name in ("jobs_per_second", "worker_us", "server_us")}


def _sized(place: Place) -> Place:
    return replace(place, sizes=replace(place.sizes, drain=place.sizes.pruning))


def _size_after_pruning(place: Place) -> float:
    """Delete all that ended, wait for autovacuum, and return the bytes of the tables, empty pages included."""
    prune({State.SUCCEEDED: timedelta(0)})
    deadline = time.monotonic() + LONGEST_SECONDS
    while (dead := _ask(place, DEAD_ROWS)) > FEW_DEAD_ROWS:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{dead:,.0f} dead rows are left after {LONGEST_SECONDS} s")
        time.sleep(POLL_SECONDS)
    return _ask(place, SIZE)


def _ask(place: Place, question: str) -> float:
    with closing(place.server.connect()) as connection, closing(connection.cursor()) as cursor:
        cursor.execute(question)
        return float(cursor.fetchone()[0] or 0)
