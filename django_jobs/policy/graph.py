"""Which jobs wait for which: the order of a graph, its cycles and bounds, and where its nodes stand when drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

MAX_NODES = 20_000
MAX_EDGES = 100_000
"""A hundred jobs that wait for a hundred, ten deep, are 90,000. All are inserted in one transaction."""
MAX_CYCLE_SHOWN = 10


class GraphError(ValueError):
    """A graph that cannot be enqueued; the message says why."""


class OnDead(StrEnum):
    """What becomes of a job that waits for one that died: it waits for a redrive, or is cancelled."""

    BLOCK = "block"
    CANCEL = "cancel"


def topological_order(predecessors: Sequence[Sequence[int]], names: Sequence[str]) -> list[int]:
    """Return the nodes, by number, each behind those that it waits for.

    ``predecessors[n]`` are the numbers of those that node n waits for. Raises GraphError for a cycle, which
    it names, and for a graph beyond the bounds.
    """
    check_size(len(predecessors), sum(map(len, predecessors)))
    left = [len(waits_for) for waits_for in predecessors]
    successors: list[list[int]] = [[] for _ in predecessors]
    for node, waits_for in enumerate(predecessors):
        for one in waits_for:
            successors[one].append(node)
    ordered = [node for node, number in enumerate(left) if number == 0]
    for node in ordered:  # grows while it is walked
        for one in successors[node]:
            left[one] -= 1
            if left[one] == 0:
                ordered.append(one)
    if len(ordered) < len(predecessors):
        raise GraphError(
            f"expected jobs that wait for one another in no circle, got {_cycle(predecessors, left, names)}"
        )
    return ordered


def check_size(nodes: int, edges: int) -> None:
    """Raise GraphError where a graph is larger than one transaction should make it."""
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
    """Return a cycle in words, found by walking back through nodes that were never let go."""
    node = next(number for number, count in enumerate(left) if count > 0)
    seen: dict[int, int] = {}
    path: list[int] = []
    while node not in seen:
        seen[node] = len(path)
        path.append(node)
        node = next(one for one in predecessors[node] if left[one] > 0)
    cycle = [*path[seen[node] :], node]
    shown = [names[one] for one in cycle[:MAX_CYCLE_SHOWN]]
    further = f" and {len(cycle) - MAX_CYCLE_SHOWN} more" if len(cycle) > MAX_CYCLE_SHOWN else ""
    return " waits for ".join(shown) + further


def layers(predecessors: Mapping[int, Sequence[int]]) -> list[list[int]]:
    """Return the nodes in columns: each one column behind the last of those that it waits for, in order of number.

    Numbers that are no keys, and edges that would close a circle, are left out.
    """
    left = {
        node: {one for one in waits_for if one in predecessors} for node, waits_for in predecessors.items()
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
