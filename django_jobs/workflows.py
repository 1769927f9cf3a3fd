"""Jobs that wait for one another: ``chain``, ``group``, ``chord``, and ``Graph`` for every other shape.

::

    chain(a, b, c)            a ──> b ──> c           each is given the result of the one before
    group(a, b)               a    b                  side by side
    chord(group(a, b), c)     a ─┬─> c                c is given the list of their results
                              b ─┘

A chain whose step is a group waits for all of it; a group may contain chains. Nothing is enqueued before
``enqueue()``, which inserts all of it in one transaction: rolled back means never enqueued.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async

from .arguments.results import RESULT, find_results, number_results, result_of
from .conf import get_settings
from .conf.database import use_database
from .database_choice import choose_graph_database
from .definition import JobCall
from .enqueueing import enqueue_nodes, new_job, prepare
from .exceptions import ArgumentsError, ConfigurationError, InvalidGraphError
from .hooks import Insertion, around_enqueue, has_hooks
from .options import check_predecessors, common_database
from .policy.graph import GraphError, check_size

if TYPE_CHECKING:
    from .models import Job
    from .store.dialects.base.jobs import NewJob

__all__ = ["RESULT", "Graph", "JobCall", "Node", "chain", "chord", "group", "result_of"]

MAX_NESTING = 100
"""Levels of chains and groups inside one another."""


class Node:
    """One job of a graph, made by ``Graph.add``."""

    def __init__(self, call: JobCall, *, on_dead: str) -> None:
        self.call = call
        self.on_dead = on_dead
        self.waits_in: str | None = None
        self._before: dict[Node | int, None] = dict.fromkeys(call.definition.waits_for)
        self._steps_before: Sequence[Node] | None = None
        self._is_list = False

    @property
    def result(self) -> Any:
        """The stand-in for this job's result, as an argument of a job that waits for it."""
        return result_of(self)

    @property
    def predecessors(self) -> list[Node | int]:
        """The nodes, and ids of jobs enqueued before, that the job waits for."""
        return list(self._before)

    def after(self, *others: Node | Job) -> Node:
        """Have the job wait for more nodes of the same graph, or jobs enqueued before; return this node."""
        for other in others:
            if not isinstance(other, Node):
                name = self.call.definition.name
                check_predecessors(name, [other], "block")
                self.waits_in = common_database(f"{name}.after(...)", [other], known=self.waits_in)
            self._before[other if isinstance(other, Node) else other.pk] = None
        return self

    def behind(self, steps: Sequence[Node], *, as_list: bool) -> Node:
        """Have the job wait for the steps before it, whose result RESULT then means; return this node."""
        self._steps_before, self._is_list = steps, as_list
        return self.after(*steps)

    def bound(self) -> dict[str, Any]:
        """Return the arguments as they are given, results as their stand-ins."""
        return self.call.definition.signature.bind(self.call.args, self.call.kwargs)

    def prepared(self, make: Callable[[Any], NewJob]) -> tuple[NewJob, dict[str, Any]]:
        """Return the new job and its arguments, with results numbered; jobs whose results are used are waited for.

        ``make`` makes the new job of a definition.
        """
        call, name = self.call, self.call.definition.name
        used = list(find_results([*call.args, *call.kwargs.values()]))
        self.after(*(result.of for result in used if result.of is not None))
        predecessors = self.predecessors
        steps = self._steps_before
        before = predecessors if steps is None else steps
        as_list = len(predecessors) > 1 if steps is None else self._is_list
        args, kwargs = list(call.args), dict(call.kwargs)
        if used:
            args = number_results(name, args, predecessors, before=before, as_list=as_list)
            kwargs = number_results(name, kwargs, predecessors, before=before, as_list=as_list)
        try:
            return prepare(call.definition, args, kwargs, make=make)
        except ArgumentsError as error:
            if call.args[:1] != (RESULT,):
                raise
            raise ArgumentsError(
                f"{error} (the first argument is the result of the step before; .without_result() leaves it out)"
            ) from None

    def __repr__(self) -> str:
        return f"<node of {self.call.definition.name}>"


class Graph:
    """Jobs that wait for one another in any shape without a circle; up to 20,000 jobs and 100,000 edges.

    ``on_dead``: the fate of jobs that wait for one that dies; ``block`` or ``cancel``.
    """

    def __init__(self, *, on_dead: str = "block") -> None:
        check_predecessors("Graph", [], on_dead)
        self.on_dead = on_dead
        self.nodes: list[Node] = []

    def add(self, call: JobCall, *, after: Sequence[Node | Job] = (), on_dead: str | None = None) -> Node:
        """Add a job, given as ``job.s(...)``, that waits for those of ``after`` and for the results that it uses."""
        node = Node(as_call(call, "Graph.add"), on_dead=on_dead or self.on_dead)
        check_predecessors(call.definition.name, [], node.on_dead)
        self.nodes.append(node)
        return node.after(*after)

    def enqueue(self) -> list[Job]:
        """Insert all jobs in the caller's transaction and return them in the order in which they were added.

        Raises InvalidGraphError for a circle, too many jobs or edges, or the result of a job that is not waited for;
        ArgumentsError if a call does not fit its job.
        """
        _check_size(len(self.nodes), 0)
        if not self.nodes:
            return []
        if not has_hooks():
            return self._enqueue()
        definitions = list(dict.fromkeys(node.call.definition for node in self.nodes))
        with around_enqueue(Insertion(definitions, len(self.nodes))) as insertion:
            jobs = self._enqueue()
            insertion.inserted(jobs)
        return jobs

    def _enqueue(self) -> list[Job]:
        if not get_settings().has_many_databases or not self.nodes:
            return self._enqueue_here()
        calls = [(node.call.definition, node.bound()) for node in self.nodes]
        others = [node.waits_in for node in self.nodes if node.waits_in is not None]
        with use_database(choose_graph_database(calls, others)):
            return self._enqueue_here()

    def _enqueue_here(self) -> list[Job]:
        from .policy.graph import OnDead
        from .store.workflows.enqueue import NewNode, PredecessorRef

        numbers = {node: number for number, node in enumerate(self.nodes)}
        prepared = []
        make = cache(new_job)  # and hooks are asked once for each definition
        for node in self.nodes:
            new, arguments = node.prepared(make)
            after = tuple(
                PredecessorRef(node=_number(predecessor, numbers))
                if isinstance(predecessor, Node)
                else PredecessorRef(job_id=predecessor)
                for predecessor in node.predecessors
            )
            prepared.append(NewNode(new=new, arguments=arguments, after=after, on_dead=OnDead(node.on_dead)))
        return enqueue_nodes(prepared)

    async def aenqueue(self) -> list[Job]:
        """Do what ``enqueue`` does, from asynchronous code."""
        return await sync_to_async(self.enqueue)()


@dataclass(frozen=True, slots=True)
class Steps:
    """A chain or a group. ``enqueue()`` returns the jobs in the order in which the calls were written."""

    steps: tuple[JobCall | Steps, ...]
    is_chain: bool
    depth: int

    def enqueue(self, *, on_dead: str = "block") -> list[Job]:
        """Insert all jobs in the caller's transaction; ``on_dead`` and errors as for ``Graph``."""
        graph = Graph(on_dead=on_dead)
        _add(graph, self, [], as_list=False)
        return graph.enqueue()

    async def aenqueue(self, *, on_dead: str = "block") -> list[Job]:
        """Do what ``enqueue`` does, from asynchronous code."""
        return await sync_to_async(self.enqueue)(on_dead=on_dead)


def chain(*steps: Any) -> Steps:
    """Return steps that run one after the other, each given the result of the one before as its first argument.

    A step is ``job.s(...)``, a group, or another chain. The result of a group is the list of its jobs' results.
    ``job.s(...).without_result()`` is given none; ``RESULT`` among the arguments places it elsewhere.
    """
    return _steps("chain", steps, is_chain=True)


def group(*calls: Any) -> Steps:
    """Return calls that run side by side; each may be a chain."""
    return _steps("group", calls, is_chain=False)


def chord(calls: Any, callback: JobCall) -> Steps:
    """Return a group and a callback, which runs when all of the group has succeeded and is given its results."""
    header = calls if isinstance(calls, Steps) else group(calls)
    return chain(header, as_call(callback, "chord"))


def as_call(given: Any, what: str) -> JobCall:
    """Return ``given`` if it is a call, or raise ConfigurationError."""
    if isinstance(given, JobCall):
        return given
    hint = "; call its s(...) with the arguments" if hasattr(given, "enqueue") else ""
    raise ConfigurationError(f"{what}: expected a job with its arguments, job.s(...), got {given!r}{hint}")


def _steps(what: str, given: Sequence[Any], *, is_chain: bool) -> Steps:
    """Check the steps, and flatten a chain in a chain, or a group in a group."""
    if len(given) == 1 and not isinstance(given[0], JobCall | Steps) and isinstance(given[0], Iterable):
        given = list(given[0])
    steps: list[JobCall | Steps] = []
    for step in given:
        if isinstance(step, Steps):
            steps += step.steps if step.is_chain is is_chain else [step]
        else:
            steps.append(as_call(step, what))
    if not steps:
        raise InvalidGraphError(f"{what}: expected at least one job, got none")
    depth = 1 + max(step.depth if isinstance(step, Steps) else 0 for step in steps)
    if depth > MAX_NESTING:
        raise InvalidGraphError(
            f"{what}: expected chains and groups at most {MAX_NESTING} deep in one another; use a Graph"
        )
    return Steps(tuple(steps), is_chain, depth)


def _add(graph: Graph, step: JobCall | Steps, after: list[Node], *, as_list: bool) -> list[Node]:
    """Add a step behind ``after`` and return the nodes that the next step waits for."""
    if isinstance(step, JobCall):
        _check_size(len(graph.nodes) + 1, 0)
        if after and step.takes_result and not any(find_results([*step.args, *step.kwargs.values()])):
            step = replace(step, args=(RESULT, *step.args))
        node = graph.add(step)
        return [node.behind(after, as_list=as_list) if after else node]
    if not step.is_chain:
        return [tail for inner in step.steps for tail in _add(graph, inner, after, as_list=as_list)]
    for inner in step.steps:
        after = _add(graph, inner, after, as_list=as_list)
        as_list = isinstance(inner, Steps)
    return after


def _number(node: Node, numbers: dict[Node, int]) -> int:
    if node not in numbers:
        raise InvalidGraphError(f"expected nodes of one graph, got {node!r} of another")
    return numbers[node]


def _check_size(nodes: int, edges: int) -> None:
    try:
        check_size(nodes, edges)
    except GraphError as error:
        raise InvalidGraphError(str(error)) from None
