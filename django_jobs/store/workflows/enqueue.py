"""Enqueue jobs that wait for one another, or for existing jobs, in one transaction.

An existing job may run, end, be cancelled or pruned at this moment. So its row is locked before its state is read and
its flag HAS_DEPENDENTS set: an earlier end is seen here, a later one reads the flag. None is missed; see
``store/dependencies/successors.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import F

from ...exceptions import InvalidGraphError
from ...models import Job
from ...policy.flags import JobFlag
from ...policy.graph import GraphError, OnDead, check_size, topological_order
from ...policy.states import State
from ..dialects import open_dialect
from ..dialects.base.jobs import NewJob
from ..dialects.shared.by_id import InIds
from ..enqueue.insert import enqueue
from ..lifecycle.after_finish import cancel_dependents
from ..transactions import savepoint

SHOWN_MISSING = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class NewNode:
    """A job to enqueue. It waits for nodes of the same graph, by number, and for jobs, by id, in this order."""

    new: NewJob
    arguments: dict[str, Any]
    after: tuple[PredecessorRef, ...] = ()
    on_dead: OnDead = OnDead.BLOCK


@dataclass(frozen=True, slots=True, kw_only=True)
class PredecessorRef:
    """A predecessor of a node: another node of the graph, or a job that was enqueued before."""

    node: int | None = None
    job_id: int | None = None


@dataclass(slots=True)
class _Insertion:
    """Nodes that share one enqueue."""

    numbers: list[int] = field(default_factory=list)
    arguments: list[dict[str, Any]] = field(default_factory=list)


def enqueue_graph(nodes: Sequence[NewNode], *, using: str | None = None) -> list[Job]:
    """Insert all nodes and return their jobs in the same order.

    Those that wait for nothing, or only for jobs that have succeeded, are ready at once. Raises InvalidGraphError for a
    cycle, too large a graph, a waiting job with a ``run_after``, and a predecessor that does not exist.
    """
    inside = [[ref.node for ref in node.after if ref.node is not None] for node in nodes]
    outside = sorted({ref.job_id for node in nodes for ref in node.after if ref.job_id is not None})
    try:
        check_size(len(nodes), sum(len(node.after) for node in nodes))
        ordered = topological_order(inside, [node.new.name for node in nodes])
    except GraphError as error:
        raise InvalidGraphError(str(error)) from None
    _refuse_delayed(nodes)
    dialect, connection = open_dialect(using)
    with savepoint(using=connection.alias):
        states = _mark_awaited(outside, connection.alias)
        jobs = _insert(nodes, ordered, states, connection.alias)
        ids = [job.pk for job in jobs]
        dialect.dependencies.insert(connection, _edges(nodes, ids, states))
        cancelled = [job_id for job_id, state in states.items() if state is State.CANCELLED]
        dead = [job_id for job_id, state in states.items() if state is State.DEAD]
        if cancelled or dead:
            cancel_dependents(dead=dead, cancelled=cancelled, using=connection.alias)
    return jobs


def _refuse_delayed(nodes: Sequence[NewNode]) -> None:
    for node in nodes:
        if node.after and (node.new.run_after is not None or node.new.delay_seconds is not None):
            raise InvalidGraphError(
                f"{node.new.name}: expected a job that waits for others to have no run_after: it is due when they have"
                " succeeded; raise Snooze in it to wait longer"
            )


def _mark_awaited(ids: Sequence[int], alias: str) -> dict[int, State]:
    """Lock jobs, set their flag HAS_DEPENDENTS and return their states. Raises InvalidGraphError if one is missing."""
    if not ids:
        return {}
    jobs = Job.objects.using(alias).filter(InIds("pk", ids))
    rows = jobs.select_for_update().order_by("pk").values_list("pk", "state", "flags")
    locked = {pk: (State(state), flags) for pk, state, flags in rows}
    missing = [str(pk) for pk in ids if pk not in locked]
    if missing:
        raise InvalidGraphError(
            f"expected existing jobs to wait for, got {', '.join(missing[:SHOWN_MISSING])}: rolled back, pruned,"
            " purged, or of another database"
        )
    unflagged = [pk for pk, (_, flags) in locked.items() if not flags & JobFlag.HAS_DEPENDENTS]
    if unflagged:
        Job.objects.using(alias).filter(InIds("pk", unflagged)).update(
            flags=F("flags").bitor(int(JobFlag.HAS_DEPENDENTS))
        )
    return {pk: state for pk, (state, _) in locked.items()}


def _insert(nodes: Sequence[NewNode], ordered: Sequence[int], states: dict[int, State], alias: str) -> list[Job]:
    """Insert the nodes, those with the same options in one statement, each after its predecessors."""
    awaited = {ref.node for node in nodes for ref in node.after if ref.node is not None}
    insertions: dict[NewJob, _Insertion] = {}
    for number in ordered:
        node = nodes[number]
        waits = any(ref.job_id is None or states[ref.job_id] is not State.SUCCEEDED for ref in node.after)
        flags = node.new.flags | (JobFlag.HAS_DEPENDENTS if number in awaited else 0)
        insertion = insertions.setdefault(
            node.new._replace(blocked=waits or node.new.blocked, flags=int(flags)), _Insertion()
        )
        insertion.numbers.append(number)
        insertion.arguments.append(node.arguments)
    jobs: dict[int, Job] = {}
    for new, insertion in insertions.items():
        jobs.update(zip(insertion.numbers, enqueue(new, insertion.arguments, using=alias), strict=True))
    return [jobs[number] for number in range(len(nodes))]


def _edges(
    nodes: Sequence[NewNode], ids: Sequence[int], states: dict[int, State]
) -> list[tuple[int, int, int, bool, bool]]:
    return [
        (
            job_id,
            ids[ref.node] if ref.node is not None else ref.job_id or 0,
            position,
            node.on_dead is OnDead.CANCEL,
            ref.job_id is not None and states[ref.job_id] is State.SUCCEEDED,
        )
        for job_id, node in zip(ids, nodes, strict=True)
        for position, ref in enumerate(node.after)
    ]
