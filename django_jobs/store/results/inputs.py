"""Put the results of a job's predecessors into its arguments."""

from __future__ import annotations

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
    return fill_in_results(arguments, [result.read for result in predecessor_results(job_id, using=using)])


def predecessor_results(job_id: int, *, limit: int | None = None, using: str | None = None) -> list[PredecessorResult]:
    """Return the results of the jobs that a job waits for, in the order of their numbers. Two statements."""
    _, connection = open_dialect(using)
    edges = Dependency.objects.using(connection.alias).filter(is_met__in=MET_OR_UNMET, job=job_id)
    predecessors = list(edges.order_by("position").values_list("predecessor_id", flat=True)[:limit])
    columns = ("pk", "name", "state", "result_data")
    rows = Job.objects.using(connection.alias).filter(pk__in=predecessors).values_list(*columns)
    found = {pk: (name, state, result) for pk, name, state, result in rows}
    return [PredecessorResult(predecessor, found.get(predecessor)) for predecessor in predecessors]


class PredecessorResult:
    """A predecessor's result, read when a placeholder needs it. ``row``: name, state and result, None if deleted."""

    def __init__(self, job_id: int, row: tuple[str, str, Any] | None) -> None:
        self.job_id, self.row = job_id, row

    @property
    def name(self) -> str:
        """The name of the job, empty if it is deleted."""
        return self.row[0] if self.row else ""

    @property
    def is_in_file(self) -> bool:
        """True if the result must be read from a file."""
        return self.row is not None and parse_result_file(self.row[2]) is not None

    def read(self) -> Any:
        """Return the result as JSON. Raises ResultNotPassedError and ResultUnreadableError."""
        if self.row is None:
            raise ResultNotPassedError(f"the result of job {self.job_id} cannot be passed on: the job is deleted")
        name, state, result = self.row
        what = f"the result of job {self.job_id} ({name}) cannot be passed on"
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
