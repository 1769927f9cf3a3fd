"""Results: what the jobs that a job waited for returned, put into its arguments where it asks for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...arguments.serialization import EXPIRED, NOT_STORABLE, fill_in_results, has_results
from ...exceptions import ResultNotPassed, ResultUnreadable
from ...models import Dependency, Job
from ...policy.states import State
from ...result_files import read_result, result_file
from ..dependencies.successors import ANY
from ..dialects import open_dialect


def with_results(job_id: int, arguments: Any, *, using: str | None = None) -> Any:
    """Return stored arguments (JSON) with the results of the job's predecessors in place of the marks for them.

    Two statements where there is a mark, none otherwise. Raises ResultNotPassed, which names the job whose result
    is missing, and ResultUnreadable where it stands in a file that cannot be read at the moment.
    """
    if not has_results(arguments):
        return arguments
    _, connection = open_dialect(using)
    edges = Dependency.objects.using(connection.alias).filter(is_met__in=ANY, job=job_id)
    predecessors = list(edges.order_by("position").values_list("predecessor_id", flat=True))
    columns = ("pk", "name", "state", "result_data")
    rows = Job.objects.using(connection.alias).filter(pk__in=predecessors).values_list(*columns)
    found = {pk: (name, state, result) for pk, name, state, result in rows}
    return fill_in_results(arguments, [_Result(one, found) for one in predecessors])


class _Result:
    """One predecessor's result, looked at only where it is asked for."""

    def __init__(self, job_id: int, found: Mapping[int, tuple[str, str, Any]]) -> None:
        self._job_id, self._found = job_id, found

    def __call__(self) -> Any:
        if self._job_id not in self._found:
            raise ResultNotPassed(f"the result of job {self._job_id} cannot be passed on: the job is gone")
        name, state, result = self._found[self._job_id]
        what = f"the result of job {self._job_id} ({name}) cannot be passed on"
        if state != State.SUCCEEDED:
            raise ResultNotPassed(f"{what}: the job is {state}")
        if result == NOT_STORABLE:
            raise ResultNotPassed(
                f"{what}: it could not be stored, being larger than MAX_RESULT_BYTES or nothing that JSON can carry;"
                " have the job return a key instead"
            )
        if result == EXPIRED:
            raise ResultNotPassed(f"{what}: it has expired; give the job that returns it a longer result_ttl")
        file = result_file(result)
        if file is None:
            return result
        try:
            return read_result(file)
        except ResultUnreadable as error:
            if error.is_gone:
                raise ResultNotPassed(f"{what}: {error}") from error
            raise
