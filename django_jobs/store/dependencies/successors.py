"""Update the jobs that depend on a finished one.

::

    predecessor succeeded           the edge is met; a job whose edges are all met is released
    predecessor dead                the job stays blocked until it is redriven, or is cancelled (``on_dead``)
    predecessor cancelled, purged   nothing can release the job: it is cancelled, and its successors too

All of it commits together with the finish. Two predecessors may finish at the same moment, neither seeing that the
other's edge is met. So each first locks the waiting job, in the order of keys, and then reads its edges: the second
waits for the first to commit and sees its writes. A job cannot be missed.

An edge may be added to a running job whose worker does not know of it. Adding locks the predecessor's row
(``store/workflows/enqueue.py``). So it comes either before the finish, which reads the flag HAS_DEPENDENTS from the
row it writes, or after it, and sees the state. If that finish was a transaction of its own and its process dies before
the next one, ``repair`` finds the edge.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import OuterRef, Q, Subquery

from ...models import Dependency, Job
from ...policy.graph import OnDead
from ...policy.states import State
from ..dialects import open_dialect
from ..selection import CHUNK, lock_jobs
from .release import release

UNMET, MET_OR_UNMET = [False], [False, True]
"""Values for ``is_met__in``: Django turns ``is_met=False`` into NOT is_met, for which SQLite uses no index."""
WINDOW = 2_000


def release_dependents(predecessors: Sequence[int], *, using: str) -> int:
    """Mark the edges to jobs that succeeded as met; release jobs without unmet edges and return how many."""
    dialect, connection = open_dialect(using)
    waiting = dialect.dependencies.mark_met(connection, predecessors)
    return sum(_release_unblocked(waiting[start : start + CHUNK], using) for start in range(0, len(waiting), CHUNK))


def _release_unblocked(ids: Sequence[int], alias: str) -> int:
    blocked = lock_jobs(ids, states={State.BLOCKED}, using=alias)
    return release(without_unmet_dependencies(blocked, using=alias), using=alias) if blocked else 0


def without_unmet_dependencies(ids: Sequence[int], *, using: str) -> list[int]:
    """Return those of the jobs that have no unmet edge, in order. One lookup a job in the index of unmet edges.

    A subquery with a limit: an EXISTS lets PostgreSQL hash all unmet edges.
    """
    unmet = Dependency.objects.using(using).filter(job=OuterRef("pk"), is_met__in=UNMET).order_by()
    jobs = Job.objects.using(using).filter(pk__in=ids).annotate(unmet=Subquery(unmet.values("job")[:1]))
    return list(jobs.filter(unmet__isnull=True).order_by("pk").values_list("pk", flat=True))


def dependents_to_cancel(*, dead: Sequence[int] = (), cancelled: Sequence[int] = (), using: str) -> list[int]:
    """Return, in order, the jobs to cancel because of these, whether they still wait or not."""
    dialect, connection = open_dialect(using)
    found: set[int] = set()
    if dead:
        found |= dialect.dependencies.read_successors(connection, dead, on_dead_cancel_only=True)
    if cancelled:
        found |= dialect.dependencies.read_successors(connection, cancelled, on_dead_cancel_only=False)
    return sorted(found)


def still_needed(ids: Sequence[int], *, using: str) -> set[int]:
    """Return those of the jobs whose results a dependent job may still need: it is neither succeeded nor cancelled.

    A dead one counts: it may be redriven.
    """
    done = [State.SUCCEEDED.value, State.CANCELLED.value]
    edges = Dependency.objects.using(using).filter(predecessor__in=ids)
    return set(edges.exclude(job__state__in=done).order_by().values_list("predecessor_id", flat=True))


EdgePosition = tuple[int, int]
"""A waiting job and one of its edges: the search for missed dependencies continues after it."""


def find_missed_dependencies(
    *, after: EdgePosition = (0, 0), using: str
) -> tuple[dict[State | None, list[int]], EdgePosition | None]:
    """Read 2,000 unmet edges; return their finished predecessors by state, and where to continue, None at the end.

    The state None stands for a deleted predecessor. None is found unless a process died at a bad moment.
    """
    behind = Q(job__gt=after[0]) | Q(job=after[0], pk__gt=after[1])
    unmet = Dependency.objects.using(using).filter(behind, is_met__in=UNMET, job__gte=after[0])
    columns = ("job_id", "pk", "predecessor_id", "on_dead", "job__state")
    window = list(unmet.order_by("job", "pk").values_list(*columns)[:WINDOW])
    blocked = [row for row in window if row[4] == State.BLOCKED]
    predecessors = {row[2] for row in blocked}
    states = dict(Job.objects.using(using).filter(pk__in=predecessors).values_list("pk", "state"))
    cancels = {row[2] for row in blocked if row[3] == OnDead.CANCEL}
    found: dict[State | None, list[int]] = {}
    for predecessor in sorted(predecessors):
        state = State(states[predecessor]) if predecessor in states else None
        if state in {State.SUCCEEDED, State.CANCELLED, None} or (state is State.DEAD and predecessor in cancels):
            found.setdefault(state, []).append(predecessor)
    return found, window[-1][:2] if len(window) == WINDOW else None


def pending_predecessors(job_id: int, *, limit: int, using: str) -> list[tuple[int, str, str]]:
    """Return (id, name, state) of the unmet predecessors of a blocked job, dead ones first."""
    edges = Dependency.objects.using(using).filter(is_met__in=UNMET, job=job_id)
    ids = list(edges.order_by("pk").values_list("predecessor_id", flat=True)[: limit * 10])
    rows = Job.objects.using(using).filter(pk__in=ids).values_list("pk", "name", "state")
    found = sorted(rows, key=lambda row: (row[2] != State.DEAD, row[0]))
    return found[:limit]
