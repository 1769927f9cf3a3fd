"""``AsyncResult`` and its like: the job of a task, seen as Celery shows a result."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn

from ...conf import get_settings
from ...exceptions import SerializationError
from ...policy.metadata import CELERY
from ..tasks.ids import find_job_id, result_id
from .eager_result import EagerResult
from .exceptions import TaskFailedError, TaskRevokedError, UnsupportedError
from .group_result import GroupResult
from .request import META, STATE
from .result_base import ResultBase, allow_join_result
from .states import FAILURE, PENDING, PROPAGATE_STATES, READY_STATES, REVOKED, STARTED, SUCCESS, state_of

if TYPE_CHECKING:
    from ...models import Job

__all__ = ["AsyncResult", "EagerResult", "GroupResult", "ResultSet", "allow_join_result", "exception_of"]

ResultSet = GroupResult


class AsyncResult(ResultBase):
    """The result of a task by its id, the text of a UUID; nobody but this project can make one."""

    def __init__(self, id: str, *ignored: Any, parent: ResultBase | None = None, job: Job | None = None, **_: Any):  # noqa: A002 - Celery's name
        self.id = str(id)
        self.parent = parent
        self._job = job

    @classmethod
    def of(cls, job: Job, *, parent: ResultBase | None = None) -> AsyncResult:
        """Return the result of a job."""
        return cls(result_id(job.pk, database=job._state.db), parent=parent, job=job)

    @property
    def task_id(self) -> str:
        """The id."""
        return self.id

    @property
    def job(self) -> Job | None:
        """The row as it was read last; None if there is none: pruned, rolled back, or an id of another project."""
        if self._job is None or not self._job.is_final:
            self._refresh()
        return self._job

    @property
    def state(self) -> str:
        """The state in Celery's words; PENDING for an id that is not known."""
        job = self.job
        if job is None:
            return PENDING
        state = state_of(job.state, attempt=job.attempt)
        own = _own(job).get(STATE) if state == STARTED else None
        return own if isinstance(own, str) else state

    status = state

    @property
    def result(self) -> Any:
        """The return value, the exception of a dead job, or what ``update_state`` was given last."""
        state, job = self.state, self._job
        if job is None:
            return None
        if state == SUCCESS:
            return job.result
        if state == FAILURE:
            return exception_of(job)
        if state == REVOKED:
            return TaskRevokedError("revoked")
        return _own(job).get(META)

    info = result

    @property
    def traceback(self) -> str | None:
        """The traceback of the last failed attempt."""
        attempt = None if self.job is None else self.job.last_attempt
        return attempt.traceback or None if attempt else None

    @property
    def date_done(self) -> datetime | None:
        """When the job ended."""
        return self.job.finished_at if self.job is not None and self.job.is_final else None

    @property
    def name(self) -> str | None:
        """The name of the task."""
        return None if self.job is None else self.job.name

    @property
    def retries(self) -> int | None:
        """How many retries there have been."""
        return None if self.job is None else max(self.job.attempt - 1, 0)

    @property
    def queue(self) -> str | None:
        """The name of the queue."""
        return None if self.job is None else self.job.queue_name

    def ready(self) -> bool:
        """Tell whether it has ended."""
        return self.state in READY_STATES

    def successful(self) -> bool:
        """Tell whether it has succeeded."""
        return self.state == SUCCESS

    def failed(self) -> bool:
        """Tell whether it is dead."""
        return self.state == FAILURE

    def raise_failure(self) -> None:
        """Raise the exception of a dead or cancelled job."""
        if self.state in PROPAGATE_STATES:
            raise self.result

    maybe_throw = maybe_reraise = raise_failure

    def revoke(self, *ignored: Any, terminate: bool = False, **_: Any) -> None:
        """Cancel the job if it waits; one that runs goes on, and never again. ``terminate`` changes nothing more.

        A running task that checks ``current_job().cancel_requested`` ends by itself; an async job and one in a job
        process are interrupted.
        """
        if self.job is not None:
            self.job.cancel(by="revoke")

    def forget(self) -> None:
        """Delete the job if it has ended and no other needs its result."""
        from ...operations import purge

        if self.job is not None:
            purge(self.job)
            self._job = None

    def as_tuple(self) -> tuple[Any, None]:
        """Return the id as Celery stores it."""
        return (self.id, self.parent and getattr(self.parent, "as_tuple", lambda: None)()), None

    @property
    def children(self) -> NoReturn:
        """Raise UnsupportedError."""
        raise UnsupportedError("result.children is not supported: the admin shows the graph of a job")

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        return f"<AsyncResult: {self.id}>"

    def __hash__(self) -> int:
        return hash(self.id)

    def __eq__(self, other: object) -> bool:
        return self.id == (other.id if isinstance(other, AsyncResult) else other)

    def _refresh(self) -> None:
        from ...models import Job

        job_id = find_job_id(self.id)
        if job_id is not None:
            rows = Job.objects.using(job_id.database or get_settings().database)
            self._job = rows.filter(pk=job_id.number).first()

    def collect(self, *, propagate: bool, callback: Callable[[str, Any], object] | None) -> Any:
        """Return the result. Raises SerializationError for one that could not be stored."""
        if propagate:
            self.raise_failure()
            if self.job is not None and self.job.is_result_lost:
                raise SerializationError(
                    f"the result of {self.job.name} [{self.id}] could not be stored: it is larger than"
                    " RESULTS['MAX_BYTES'] or cannot be written as JSON; return a key, or None if nobody reads it"
                )
        value = self.result
        if callback is not None:
            callback(self.id, value)
        return value


def exception_of(job: Job) -> BaseException:
    """Return the error of a dead job: of its class if that is imported here and takes the message alone."""
    attempt = job.last_attempt
    if attempt is None:
        return TaskFailedError(f"{job.name} is dead and has no attempt on record")
    module, _, name = attempt.error_class.rpartition(".")
    kind = getattr(sys.modules.get(module), name, None)
    if isinstance(kind, type) and issubclass(kind, Exception):  # SystemExit would end the process that asks
        try:
            return kind(attempt.error_message)
        except Exception:  # noqa: BLE001 - a class of the project may want other arguments
            return TaskFailedError(f"{attempt.error_class}: {attempt.error_message}")
    return TaskFailedError(f"{attempt.error_class}: {attempt.error_message}")


def _own(job: Job) -> dict[str, Any]:
    kept = job.metadata.get(CELERY) if isinstance(job.metadata, dict) else None
    return kept if isinstance(kept, dict) else {}
