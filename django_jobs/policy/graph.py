"""Graphs of jobs: topological order, cycles, size limits, and columns for drawing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

MAX_NODES = 20_000
MAX_EDGES = 100_000
"""100 jobs that wait for 100, ten levels deep, are 90,000 edges. A graph is inserted in one transaction."""
MAX_CYCLE_SHOWN = 10


class GraphError(ValueError):
    """A graph that cannot be enqueued; the message says why."""


class OnDead(StrEnum):
    """The effect of a dead predecessor on a job: it waits for a redrive, or is cancelled."""

    BLOCK = "block"
    CANCEL = "cancel"


def topological_order(predecessors: Sequence[Sequence[int]], names: Sequence[str]) -> list[int]:
    """Return the numbers of the nodes, each after those that it waits for.

    ``predecessors[n]``: the nodes that node n waits for. Raises GraphError for a cycle, naming it, and for a graph
    that is too large.
    """
    check_size(len(predecessors), sum(map(len, predecessors)))
    left = [len(waits_for) for waits_for in predecessors]
    successors: list[list[int]] = [[] for _ in predecessors]
    for node, waits_for in enumerate(predecessors):
        for predecessor in waits_for:
            successors[predecessor].append(node)
    ordered = [node for node, number in enumerate(left) if number == 0]
    for node in ordered:  # grows during the iteration
        for successor in successors[node]:
            left[successor] -= 1
            if left[successor] == 0:
                ordered.append(successor)
    if len(ordered) < len(predecessors):
        raise GraphError(
            f"expected jobs that wait for one another in no circle, got {_cycle(predecessors, left, names)}"
        )
    return ordered


def check_size(nodes: int, edges: int) -> None:
    """Raise GraphError if a graph is too large for one transaction."""
    if nodes > MAX_NODES:
        raise GraphError(
            f"expected at most {MAX_NODES:,} jobs in a graph, got {nodes:,}; a Batch takes any number, and its"
            " on_success follows when all are done"
        )
    if edges > MAX_EDGES:
        raise GraphError(
            f"expected at most {MAX_EDGES:,} edges in a graph, got {edges:,}; put a job between two wide groups,"
            " so that each of them waits for one"
        )


def _cycle(predecessors: Sequence[Sequence[int]], left: Sequence[int], names: Sequence[str]) -> str:
    """Return a cycle as text, found by following predecessors of nodes that are not in the order."""
    node = next(number for number, count in enumerate(left) if count > 0)
    seen: dict[int, int] = {}
    path: list[int] = []
    while node not in seen:
        seen[node] = len(path)
        path.append(node)
        node = next(predecessor for predecessor in predecessors[node] if left[predecessor] > 0)
    cycle = [*path[seen[node] :], node]
    shown = [names[number] for number in cycle[:MAX_CYCLE_SHOWN]]
    further = f" and {len(cycle) - MAX_CYCLE_SHOWN} more" if len(cycle) > MAX_CYCLE_SHOWN else ""
    return " waits for ".join(shown) + further


def layers(predecessors: Mapping[int, Sequence[int]]) -> list[list[int]]:
    """Return the nodes in columns, each one column after the last of those that it waits for, ordered by number.

    Numbers that are not keys, and edges that would close a cycle, are left out.
    """
    left = {
        node: {predecessor for predecessor in waits_for if predecessor in predecessors}
        for node, waits_for in predecessors.items()
    }
    columns: list[list[int]] = []
    while left:
        column = sorted(node for node, waits_for in left.items() if not waits_for) or [min(left)]
        columns.append(column)
        for node in column:
            del left[node]
        for waits_for in left.values():
            waits_for.difference_update(column)
    return columns
