from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_jobs.policy.graph import MAX_EDGES, MAX_NODES, GraphError, check_size, layers, topological_order


def names(number):
    return [f"n{at}" for at in range(number)]


@given(
    st.integers(1, 30).flatmap(
        lambda number: st.tuples(
            st.permutations(range(number)),
            st.lists(st.tuples(st.integers(0, number - 1), st.integers(0, number - 1)), max_size=60),
        )
    )
)
def test_every_node_comes_after_all_that_it_waits_for(made):
    rank, pairs = made
    predecessors = [[] for _ in rank]
    for one, other in pairs:
        if rank[one] < rank[other] and one not in predecessors[other]:
            predecessors[other].append(one)
    ordered = topological_order(predecessors, names(len(rank)))
    assert sorted(ordered) == list(range(len(rank)))
    place = {node: at for at, node in enumerate(ordered)}
    for node, waits_for in enumerate(predecessors):
        assert all(place[predecessor] < place[node] for predecessor in waits_for)
    columns = layers(dict(enumerate(predecessors)))
    column = {node: at for at, nodes in enumerate(columns) for node in nodes}
    assert sorted(column) == list(range(len(rank)))
    for node, waits_for in enumerate(predecessors):
        assert column[node] == max((column[predecessor] + 1 for predecessor in waits_for), default=0)


@pytest.mark.parametrize(
    ("predecessors", "circle"),
    [
        ([[0]], "n0 waits for n0"),
        ([[1], [0]], "n0 waits for n1 waits for n0"),
        ([[], [0, 3], [1], [2]], "n1 waits for n3 waits for n2 waits for n1"),
        ([[1], [2], [1]], "n1 waits for n2 waits for n1"),
    ],
)
def test_a_cycle_is_refused_and_named(predecessors, circle):
    with pytest.raises(GraphError, match=f"no circle, got {circle}$"):
        topological_order(predecessors, names(len(predecessors)))


def test_a_long_cycle_is_named_in_part():
    predecessors = [[(at + 1) % 50] for at in range(50)]
    with pytest.raises(GraphError, match=r"n0 waits for n1 .* n9 and 41 more$"):
        topological_order(predecessors, names(50))


def test_a_chain_as_long_as_a_graph_may_be_needs_no_deep_stack():
    predecessors = [[], *([at] for at in range(MAX_NODES - 1))]
    assert topological_order(predecessors, names(MAX_NODES)) == list(range(MAX_NODES))


def test_a_graph_that_is_too_large_is_refused_with_advice():
    check_size(MAX_NODES, MAX_EDGES)
    with pytest.raises(GraphError, match=r"at most 20,000 jobs in a graph, got 100,000; a Batch takes any number"):
        topological_order([[]] * 100_000, names(1))
    with pytest.raises(GraphError, match=r"at most 100,000 edges in a graph, got 100,001"):
        check_size(2, MAX_EDGES + 1)


def test_columns_of_a_graph_with_cycles_end():
    assert layers({}) == []
    assert layers({1: [2], 2: [1], 3: [99]}) == [[3], [1], [2]]
