"""Graph: enqueue jobs that wait for one another, or for jobs that are there already, all in one transaction.

A job that is there already may run, end, be cancelled or pruned at this very moment. Its row is locked first, by the
UPDATE that marks it as awaited, and its state read then: an end that came before is seen here, one that comes after
reads the mark. Nobody is missed in between; see ``successors``.
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
    """A job to be enqueued. It waits for nodes of the same graph, by number, and for jobs, by id, in this order."""

    new: NewJob
    arguments: dict[str, Any]
    after: tuple[PredecessorRef, ...] = ()
    on_dead: OnDead = OnDead.BLOCK


@dataclass(frozen=True, slots=True, kw_only=True)
class PredecessorRef:
    """What a node waits for: another node of the graph, or a job that was enqueued before."""

    node: int | None = None
    job_id: int | None = None


@dataclass(slots=True)
class _Insertion:
    """Nodes that share one enqueue."""

    numbers: list[int] = field(default_factory=list)
    arguments: list[dict[str, Any]] = field(default_factory=list)


def enqueue_graph(nodes: Sequence[NewNode], *, using: str | None = None) -> list[Job]:
    """Insert all nodes and return their jobs in the same order.

    Those that wait for nothing, or only for what has succeeded already, are ready at once. Raises InvalidGraphError for a
    circle, too large a graph, a job that waits and has a ``run_after``, and one to be waited for that is gone.
    """
    inside = [[one.node for one in node.after if one.node is not None] for node in nodes]
    outside = sorted({one.job_id for node in nodes for one in node.after if one.job_id is not None})
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
        lost = [job_id for job_id, state in states.items() if state is State.CANCELLED]
        dead = [job_id for job_id, state in states.items() if state is State.DEAD]
        if lost or dead:
            cancel_dependents(dead=dead, cancelled=lost, using=connection.alias)
    return jobs


def _refuse_delayed(nodes: Sequence[NewNode]) -> None:
    for node in nodes:
        if node.after and (node.new.run_after is not None or node.new.delay_seconds is not None):
            raise InvalidGraphError(
                f"{node.new.name}: expected a job that waits for others to have no run_after: it is due when they have"
                " succeeded; raise Snooze in it to wait longer"
            )


def _mark_awaited(ids: Sequence[int], alias: str) -> dict[int, State]:
    """Lock jobs, mark them as awaited and return their states. Raises InvalidGraphError where one is gone."""
    if not ids:
        return {}
    jobs = Job.objects.using(alias).filter(InIds("pk", ids))
    rows = jobs.select_for_update().order_by("pk").values_list("pk", "state", "flags")
    locked = {pk: (State(state), flags) for pk, state, flags in rows}
    missing = [str(one) for one in ids if one not in locked]
    if missing:
        raise InvalidGraphError(
            f"expected jobs that are there to wait for, got {', '.join(missing[:SHOWN_MISSING])}: rolled back, pruned,"
            " purged, or of another database"
        )
    unmarked = [pk for pk, (_, flags) in locked.items() if not flags & JobFlag.HAS_DEPENDENTS]
    if unmarked:
        Job.objects.using(alias).filter(InIds("pk", unmarked)).update(
            flags=F("flags").bitor(int(JobFlag.HAS_DEPENDENTS))
        )
    return {pk: state for pk, (state, _) in locked.items()}


def _insert(
    nodes: Sequence[NewNode], ordered: Sequence[int], states: dict[int, State], alias: str
) -> list[Job]:
    """Insert the nodes, all that share their options in one statement, each behind those that it waits for."""
    awaited = {one.node for node in nodes for one in node.after if one.node is not None}
    insertions: dict[NewJob, _Insertion] = {}
    for number in ordered:
        node = nodes[number]
        waits = any(one.job_id is None or states[one.job_id] is not State.SUCCEEDED for one in node.after)
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
            ids[one.node] if one.node is not None else one.job_id or 0,
            position,
            node.on_dead is OnDead.CANCEL,
            one.job_id is not None and states[one.job_id] is State.SUCCEEDED,
        )
        for job_id, node in zip(ids, nodes, strict=True)
        for position, one in enumerate(node.after)
    ]
