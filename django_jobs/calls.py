"""A job with its arguments, not enqueued yet: ``job.s(...)``, what chains, groups, graphs and batches are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .arguments.serialization import ResultPlaceholder
from .exceptions import InvalidGraphError

if TYPE_CHECKING:
    from .enqueue_options import EnqueueOptions
    from .models import Job


@dataclass(frozen=True, slots=True)
class ResultOf:
    """Stands in a call's arguments for what another job returned; made by ``RESULT`` and ``result_of``.

    ``of`` is a node of the same graph or a job that was enqueued before; None: what the call waits for.
    """

    of: Any = None


RESULT: Any = ResultOf()
"""Stands in a call's arguments for the result of what stands before it; of several a list, in their order."""


def result_of(predecessor: Any) -> Any:
    """Return what stands in a call's arguments for the result of one job, or node, that it waits for."""
    return ResultOf(predecessor)


def replace_results(value: Any, passed: Callable[[ResultOf], Any]) -> Any:
    """Return arguments with each ``ResultOf`` in them, however deep, replaced by what ``passed`` makes of it."""
    if isinstance(value, ResultOf):
        return passed(value)
    if type(value) in {list, tuple}:
        return [replace_results(item, passed) for item in value]
    if type(value) is dict:
        return {key: replace_results(item, passed) for key, item in value.items()}
    return value


def passed_results(
    name: str, value: Any, predecessors: Sequence[Any], *, before: Sequence[Any], as_list: bool
) -> Any:
    """Return arguments in which results are asked for by the number of a predecessor (a node, or a job's id).

    ``before`` are those of them that RESULT stands for, ``as_list`` whether it is a list. Raises InvalidGraphError where a
    result is asked for that does not come.
    """
    numbers = {one: number for number, one in enumerate(predecessors)}

    def passed(result: ResultOf) -> Any:
        if result.of is not None:
            wanted = getattr(result.of, "pk", result.of)
            if wanted not in numbers:
                raise InvalidGraphError(
                    f"{name}: expected result_of(...) of a job that it waits for, got {result.of!r}; name it in"
                    " after(...)"
                )
            return ResultPlaceholder(numbers[wanted])
        if not before:
            raise InvalidGraphError(
                f"{name}: RESULT stands for what a call waits for, and this one waits for nothing"
            )
        if not as_list:
            return ResultPlaceholder(numbers[before[0]])
        if len(before) == len(predecessors):
            return ResultPlaceholder()
        return [ResultPlaceholder(numbers[one]) for one in before]

    return replace_results(value, passed)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCall:
    """A job, its options and some of its arguments. Immutable: each method returns another.

    ``takes_result``: behind other steps of a chain, what those returned is its first argument, unless ``RESULT``
    stands elsewhere among the arguments.
    """

    options: EnqueueOptions[..., Any]
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any]
    takes_result: bool = True

    def without_result(self) -> JobCall:
        """Return the same call, which in a chain is not given what the step before returned."""
        return replace(self, takes_result=False)

    def using(self, **options: Any) -> JobCall:
        """Return the same call with other options for its enqueue; see ``JobDefinition.using``."""
        return replace(self, options=self.options.using(**options))

    def enqueue(self) -> Job:
        """Insert the job in the caller's transaction and return it."""
        return self.options.enqueue(*self.args, **self.kwargs)

    async def aenqueue(self) -> Job:
        """Do what ``enqueue`` does, from asynchronous code."""
        return await self.options.aenqueue(*self.args, **self.kwargs)

    def __repr__(self) -> str:
        """Leave the arguments out: they may be secret."""
        return f"<call of {self.options.definition.name}>"
