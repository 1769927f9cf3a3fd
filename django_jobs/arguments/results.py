"""``RESULT`` and ``result_of(...)``: another job's result as an argument, before the job is enqueued."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..exceptions import InvalidGraphError
from .serialization import ResultPlaceholder


@dataclass(frozen=True, slots=True)
class ResultOf:
    """The result of ``of``, a node of the same graph or a job enqueued before; None: of what the call waits for."""

    of: Any = None


RESULT: Any = ResultOf()
"""As an argument: the result of the step before; after a group the list of its results, in order."""


def result_of(predecessor: Any) -> Any:
    """Return a stand-in, as an argument, for the result of one job or node that the call waits for."""
    return ResultOf(predecessor)


def find_results(value: Any) -> Iterator[ResultOf]:
    """Yield each ``ResultOf`` in arguments, however deep."""
    if isinstance(value, ResultOf):
        yield value
    elif type(value) in {list, tuple}:
        for item in value:
            yield from find_results(item)
    elif type(value) is dict:
        yield from find_results(list(value.values()))


def number_results(name: str, value: Any, predecessors: Sequence[Any], *, before: Sequence[Any], as_list: bool) -> Any:
    """Return arguments with each ``ResultOf`` replaced by the number of its predecessor (a node, or a job's id).

    ``before``: the predecessors that RESULT means; ``as_list``: it is a list of them. Raises InvalidGraphError for the
    result of a job that is not waited for.
    """
    numbers = {predecessor: number for number, predecessor in enumerate(predecessors)}

    def placeholder(result: ResultOf) -> Any:
        if result.of is not None:
            wanted = getattr(result.of, "pk", result.of)
            if wanted not in numbers:
                raise InvalidGraphError(
                    f"{name}: expected result_of(...) of a job that it waits for, got {result.of!r}; name it in"
                    " after(...)"
                )
            return ResultPlaceholder(numbers[wanted])
        if not before:
            raise InvalidGraphError(f"{name}: RESULT needs a job to wait for, and this one waits for none")
        if not as_list:
            return ResultPlaceholder(numbers[before[0]])
        if len(before) == len(predecessors):
            return ResultPlaceholder()
        return [ResultPlaceholder(numbers[predecessor]) for predecessor in before]

    return _replace(value, placeholder)


def _replace(value: Any, placeholder: Callable[[ResultOf], Any]) -> Any:
    if isinstance(value, ResultOf):
        return placeholder(value)
    if type(value) in {list, tuple}:
        return [_replace(item, placeholder) for item in value]
    if type(value) is dict:
        return {key: _replace(item, placeholder) for key, item in value.items()}
    return value
