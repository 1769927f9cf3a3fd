"""Put the results of a job's predecessors into its arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...arguments.serialization import (
    RESULT_EXPIRED,
    RESULT_NOT_STORABLE,
    fill_in_results,
    has_result_placeholders,
)
from ...exceptions import ResultNotPassedError, ResultUnreadableError
from ...models import Dependency, Job
from ...policy.states import State
from ...result_storage import parse_result_file, read_result
from ..dependencies.successors import MET_OR_UNMET
from ..dialects import open_dialect


def with_results(job_id: int, arguments: Any, *, using: str | None = None) -> Any:
    """Return stored arguments (JSON) with the results of the job's predecessors in place of their placeholders.

    Two statements if there is a placeholder, none otherwise. Raises ResultNotPassedError, which names the job whose
    result is missing, and ResultUnreadableError if the result's file cannot be read at the moment.
    """
    if not has_result_placeholders(arguments):
        return arguments
    _, connection = open_dialect(using)
    edges = Dependency.objects.using(connection.alias).filter(is_met__in=MET_OR_UNMET, job=job_id)
    predecessors = list(edges.order_by("position").values_list("predecessor_id", flat=True))
    columns = ("pk", "name", "state", "result_data")
    rows = Job.objects.using(connection.alias).filter(pk__in=predecessors).values_list(*columns)
    found = {pk: (name, state, result) for pk, name, state, result in rows}
    return fill_in_results(arguments, [_Result(predecessor, found) for predecessor in predecessors])


class _Result:
    """One predecessor's result, read when a placeholder needs it."""

    def __init__(self, job_id: int, found: Mapping[int, tuple[str, str, Any]]) -> None:
        self._job_id, self._found = job_id, found

    def __call__(self) -> Any:
        if self._job_id not in self._found:
            raise ResultNotPassedError(f"the result of job {self._job_id} cannot be passed on: the job is deleted")
        name, state, result = self._found[self._job_id]
        what = f"the result of job {self._job_id} ({name}) cannot be passed on"
        if state != State.SUCCEEDED:
            raise ResultNotPassedError(f"{what}: the job is {state}")
        if result == RESULT_NOT_STORABLE:
            raise ResultNotPassedError(
                f"{what}: it could not be stored: it is larger than RESULTS['MAX_BYTES'] or cannot be written as JSON;"
                " let the job return a key instead"
            )
        if result == RESULT_EXPIRED:
            raise ResultNotPassedError(f"{what}: it has expired; give the job that returns it a longer result_ttl")
        file = parse_result_file(result)
        if file is None:
            return result
        try:
            return read_result(file)
        except ResultUnreadableError as error:
            if error.is_gone:
                raise ResultNotPassedError(f"{what}: {error}") from error
            raise
