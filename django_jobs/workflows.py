"""Jobs that wait for one another: ``chain``, ``group``, ``chord``, and ``Graph`` for every other shape.

::

    chain(a, b, c)            a ──> b ──> c           each is given what the one before returned
    group(a, b)               a    b                  side by side
    chord(group(a, b), c)     a ─┬─> c                c is given the list of what they returned
                              b ─┘

A chain whose step is a group waits for all of it; a group may have chains in it. Nothing is enqueued before
``enqueue()``, which inserts all of it in one transaction: rolled back means never enqueued.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async

from .calls import RESULT, JobCall, ResultOf, passed_results, result_of
from .enqueueing import place_nodes
from .exceptions import ArgumentsError, ConfigurationError, InvalidGraphError
from .options import check_predecessors
from .policy.graph import GraphError, check_size

if TYPE_CHECKING:
    from .models import Job
    from .store.dialects.base.jobs import NewJob

DEEPEST = 100
"""How deep chains and groups may stand in one another."""


class Node:
    """One job of a graph, made by ``Graph.add``."""

    def __init__(self, call: JobCall, *, on_dead: str) -> None:
        self.call = call
        self.on_dead = on_dead
        self._before: dict[Node | int, None] = dict.fromkeys(call.options.waits_for)
        self._steps_before: Sequence[Node] | None = None
        self._is_list = False

    @property
    def result(self) -> Any:
        """What stands for this job's result among the arguments of a job that waits for it."""
        return result_of(self)

    @property
    def predecessors(self) -> list[Node | int]:
        """What the job waits for: nodes, and ids of jobs that were enqueued before."""
        return list(self._before)

    def after(self, *others: Node | Job) -> Node:
        """Have the job wait for other nodes of the same graph, or jobs enqueued before, too; return this node."""
        for one in others:
            if not isinstance(one, Node):
                check_predecessors(self.call.options.definition.name, [one], "block")
            self._before[one if isinstance(one, Node) else one.pk] = None
        return self

    def behind(self, steps: Sequence[Node], *, as_list: bool) -> Node:
        """Have the job wait for the steps before it, for which RESULT stands then; return this node."""
        self._steps_before, self._is_list = steps, as_list
        return self.after(*steps)

    def prepared(self) -> tuple[NewJob, dict[str, Any]]:
        """Return the new job and its arguments, in which results are numbered; those asked for are waited for."""
        call, name = self.call, self.call.options.definition.name
        asked = list(_results_in([*call.args, *call.kwargs.values()]))
        self.after(*(one.of for one in asked if one.of is not None))
        predecessors = self.predecessors
        steps = self._steps_before
        before = predecessors if steps is None else steps
        as_list = len(predecessors) > 1 if steps is None else self._is_list
        args, kwargs = list(call.args), dict(call.kwargs)
        if asked:
            args = passed_results(name, args, predecessors, before=before, as_list=as_list)
            kwargs = passed_results(name, kwargs, predecessors, before=before, as_list=as_list)
        try:
            return call.options.prepared(args, kwargs)
        except ArgumentsError as error:
            if call.args[:1] != (RESULT,):
                raise
            raise ArgumentsError(
                f"{error} (the first argument is what the step before returned; .without_result() leaves it out)"
            ) from None

    def __repr__(self) -> str:
        return f"<node of {self.call.options.definition.name}>"


class Graph:
    """Jobs that wait for one another in any shape without a circle; up to 20,000 of them, with 100,000 edges.

    ``on_dead``: what becomes of jobs that wait for one that dies; ``block`` or ``cancel``.
    """

    def __init__(self, *, on_dead: str = "block") -> None:
        check_predecessors("Graph", [], on_dead)
        self.on_dead = on_dead
        self.nodes: list[Node] = []

    def add(self, call: JobCall, *, after: Sequence[Node | Job] = (), on_dead: str | None = None) -> Node:
        """Add a job, given as ``job.s(...)``, that waits for those of ``after``, and for the results it asks for."""
        node = Node(as_call(call, "Graph.add"), on_dead=on_dead or self.on_dead)
        check_predecessors(call.options.definition.name, [], node.on_dead)
        self.nodes.append(node)
        return node.after(*after)

    def enqueue(self) -> list[Job]:
        """Insert all jobs in the caller's transaction and return them in the order in which they were added.

        Raises InvalidGraphError for a circle, too many jobs or edges, or a result that is asked for and does not come;
        ArgumentsError where a call does not fit its job.
        """
        from .policy.graph import OnDead
        from .store.workflows.enqueue import NewNode, PredecessorRef

        _check_size(len(self.nodes), 0)
        numbers = {node: number for number, node in enumerate(self.nodes)}
        made = []
        for node in self.nodes:
            new, arguments = node.prepared()
            before = tuple(
                PredecessorRef(node=_number(one, numbers))
                if isinstance(one, Node)
                else PredecessorRef(job_id=one)
                for one in node.predecessors
            )
            made.append(NewNode(new=new, arguments=arguments, after=before, on_dead=OnDead(node.on_dead)))
        return place_nodes(made) if made else []

    async def aenqueue(self) -> list[Job]:
        """Do what ``enqueue`` does, from asynchronous code."""
        return await sync_to_async(self.enqueue)()


@dataclass(frozen=True, slots=True)
class Steps:
    """What ``chain`` or ``group`` made. ``enqueue()`` returns the jobs in the order in which the calls were written."""

    steps: tuple[JobCall | Steps, ...]
    is_chain: bool
    depth: int

    def enqueue(self, *, on_dead: str = "block") -> list[Job]:
        """Insert all in the caller's transaction; ``on_dead`` as for ``Graph``, and the same errors."""
        graph = Graph(on_dead=on_dead)
        _add(graph, self, [], as_list=False)
        return graph.enqueue()

    async def aenqueue(self, *, on_dead: str = "block") -> list[Job]:
        """Do what ``enqueue`` does, from asynchronous code."""
        return await sync_to_async(self.enqueue)(on_dead=on_dead)


def chain(*steps: Any) -> Steps:
    """Return steps that run one after the other, each given what the one before it returned as first argument.

    A step is ``job.s(...)``, a group, or another chain. Behind a group that is the list of what its jobs returned.
    ``job.s(...).without_result()`` is given nothing; ``RESULT`` among the arguments says where it goes instead.
    """
    return _steps("chain", steps, is_chain=True)


def group(*calls: Any) -> Steps:
    """Return calls that run side by side; each may be a chain."""
    return _steps("group", calls, is_chain=False)


def chord(calls: Any, callback: JobCall) -> Steps:
    """Return a group and what follows when all of it has succeeded, given the list of what its jobs returned."""
    header = calls if isinstance(calls, Steps) else group(calls)
    return chain(header, as_call(callback, "chord"))


def as_call(given: Any, what: str) -> JobCall:
    """Return ``given`` if it is a call, or a job that needs no arguments, or raise ConfigurationError."""
    if isinstance(given, JobCall):
        return given
    hint = "; call its s(...) with the arguments" if hasattr(given, "enqueue") else ""
    raise ConfigurationError(f"{what}: expected a job with its arguments, job.s(...), got {given!r}{hint}")


def _steps(what: str, given: Sequence[Any], *, is_chain: bool) -> Steps:
    """Check the steps, and take those of a chain in a chain, or a group in a group, for its own."""
    if len(given) == 1 and not isinstance(given[0], JobCall | Steps) and isinstance(given[0], Iterable):
        given = list(given[0])
    steps: list[JobCall | Steps] = []
    for one in given:
        if isinstance(one, Steps):
            steps += one.steps if one.is_chain is is_chain else [one]
        else:
            steps.append(as_call(one, what))
    if not steps:
        raise InvalidGraphError(f"{what}: expected at least one job, got none")
    depth = 1 + max(one.depth if isinstance(one, Steps) else 0 for one in steps)
    if depth > DEEPEST:
        raise InvalidGraphError(
            f"{what}: expected chains and groups at most {DEEPEST} deep in one another; use a Graph"
        )
    return Steps(tuple(steps), is_chain, depth)


def _add(graph: Graph, step: JobCall | Steps, after: list[Node], *, as_list: bool) -> list[Node]:
    """Add a step behind ``after`` and return the nodes that what follows has to wait for."""
    if isinstance(step, JobCall):
        _check_size(len(graph.nodes) + 1, 0)
        if after and step.takes_result and not _asks(step):
            step = JobCall(options=step.options, args=(RESULT, *step.args), kwargs=step.kwargs)
        node = graph.add(step)
        return [node.behind(after, as_list=as_list) if after else node]
    if not step.is_chain:
        return [tail for one in step.steps for tail in _add(graph, one, after, as_list=as_list)]
    for one in step.steps:
        after = _add(graph, one, after, as_list=as_list)
        as_list = isinstance(one, Steps)
    return after


def _asks(call: JobCall) -> bool:
    """Tell whether a result stands somewhere among a call's arguments."""
    return any(True for _ in _results_in([*call.args, *call.kwargs.values()]))


def _results_in(value: Any) -> Iterable[ResultOf]:
    if isinstance(value, ResultOf):
        yield value
    elif type(value) in {list, tuple}:
        for item in value:
            yield from _results_in(item)
    elif type(value) is dict:
        yield from _results_in(list(value.values()))


def _number(node: Node, numbers: dict[Node, int]) -> int:
    if node not in numbers:
        raise InvalidGraphError(f"expected nodes of one graph, got {node!r} of another")
    return numbers[node]


def _check_size(nodes: int, edges: int) -> None:
    try:
        check_size(nodes, edges)
    except GraphError as error:
        raise InvalidGraphError(str(error)) from None
