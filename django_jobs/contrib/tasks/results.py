"""TaskResults, from a worker's claim without a statement, or from the job's rows.

=============================  ============
state of the job               status
=============================  ============
blocked, scheduled, ready      READY
running                        RUNNING
succeeded                      SUCCESSFUL
dead, cancelled                FAILED
=============================  ============
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from ...arguments.serialization import decode
from ...conf.database import current_database
from ...exceptions import Cancel, JobsError, UnknownJobError
from ...policy.states import FINAL_STATES, State
from .calls import DEFAULT_ALIAS, TaskCall
from .ids import result_id
from .roots import Root

if TYPE_CHECKING:
    from ...models import Job
    from ...store.dialects.base.jobs import Claim, FinishedRun, StartedRun

_STATUS = {
    State.BLOCKED: "READY",
    State.SCHEDULED: "READY",
    State.READY: "READY",
    State.RUNNING: "RUNNING",
    State.SUCCEEDED: "SUCCESSFUL",
    State.DEAD: "FAILED",
    State.CANCELLED: "FAILED",
}
_WITHOUT_RUN: Mapping[State, type[BaseException]] = {State.CANCELLED: Cancel, State.DEAD: UnknownJobError}
"""The errors of jobs that failed before they ran."""


class History(NamedTuple):
    """The ended attempts of a job: the workers of those that count, by number; errors in order; the first start."""

    workers: Mapping[int, int | None] = {}
    errors: tuple[Any, ...] = ()
    started_at: datetime | None = None

    def worker_ids(self, attempts: int) -> list[str]:
        """Return one id an attempt; an empty text for one whose record is gone."""
        return [str(self.workers.get(number) or "") for number in range(1, attempts + 1)]

    def with_worker(self, number: int, worker_id: int | None) -> History:
        """Return the same with the worker of one more attempt."""
        return self._replace(workers={**self.workers, number: worker_id})


NO_HISTORY = History()


@dataclass(frozen=True, slots=True)
class TaskResults:
    """Makes the results of one Task: ``task`` as it was built first."""

    root: Root
    task: Any
    _statuses: Mapping[State, Any] = field(init=False)

    def __post_init__(self) -> None:
        statuses = {state: self.root.status[name] for state, name in _STATUS.items()}
        object.__setattr__(self, "_statuses", statuses)

    def at_start(self, run: StartedRun, history: History = NO_HISTORY) -> Any:
        """Return the result of a run that starts; ``history`` of the attempts before it."""

        def times() -> dict[str, Any]:
            started_at = _instant(run.started)
            return {
                "started_at": history.started_at or started_at,
                "last_attempted_at": started_at,
                "finished_at": None,
                "errors": list(history.errors),
                "worker_ids": history.with_worker(run.claim.attempt, run.worker_id).worker_ids(run.claim.attempt),
                "_return_value": None,
            }

        return self._lazily(run.claim, State.RUNNING, times)

    def at_end(self, run: FinishedRun, *, worker_id: int, history: History = NO_HISTORY) -> Any:
        """Return the result of a run that has ended its job; ``history`` of the attempts before it."""

        def times() -> dict[str, Any]:
            claim, decision = run.claim, run.decision
            last_attempted_at = None if run.started is None else _instant(run.started)
            errors, error = list(history.errors), decision.error
            if error is not None:
                errors.append(self._error(error.error_class, error.message, error.traceback))
            counted = claim.attempt - decision.gives_back_attempt
            return {
                "started_at": history.started_at or last_attempted_at,
                "last_attempted_at": last_attempted_at,
                "finished_at": _instant(run.finished),
                "errors": errors or self._errors_without_run(decision.state),
                "worker_ids": history.with_worker(claim.attempt, worker_id).worker_ids(counted),
                "_return_value": None if decision.result is None else decode(json.loads(decision.result)),
            }

        return self._lazily(run.claim, run.decision.state, times)

    def of_row(self, row: Job) -> Any:
        """Return the result of a job's row. One statement if it has ended attempts."""
        state = State(row.state)
        is_running = state is State.RUNNING
        history = NO_HISTORY
        if row.claim_number > is_running:
            history = self.history(row.pk, before=row.claim_number + (not is_running), using=str(row._state.db))
        if is_running:
            history = history.with_worker(row.attempt, row.worker_id)
        result = self.root.job_result(
            **self._call(
                arguments=row.arguments,
                metadata=row.metadata,
                enqueued_at=row.enqueued_at,
                queue_name=row.queue_name,
                priority=row.priority,
            ),
            id=result_id(row.pk, database=row._state.db),
            status=self._statuses[state],
            enqueued_at=row.enqueued_at,
            started_at=history.started_at or row.started_at,
            last_attempted_at=row.started_at,
            finished_at=row.finished_at if state in FINAL_STATES else None,
            errors=list(history.errors) or self._errors_without_run(state),
            worker_ids=history.worker_ids(row.attempt),
        )
        if state is State.SUCCEEDED:
            with suppress(JobsError):  # it has expired, or its file is gone
                object.__setattr__(result, "_return_value", row.result)
        return result

    def history(self, job_id: int, *, before: int, using: str) -> History:
        """Return the attempts of the claims with lower numbers than ``before``. One statement."""
        from ...models import Attempt

        rows = Attempt.objects.using(using).filter(job=job_id, claim_number__lt=before).order_by("claim_number")
        workers: dict[int, int | None] = {}
        errors, started_at = [], None
        for row in rows.only("number", "worker_id", "started_at", "error_class", "error_message", "traceback"):
            workers[row.number] = row.worker_id
            started_at = started_at or row.started_at
            if row.error_class:
                errors.append(self._error(row.error_class, row.error_message, row.traceback))
        return History(workers, tuple(errors), started_at)

    def _error(self, error_class: str, message: str, traceback: str) -> Any:
        """Return a TaskError; what nobody raised has a line instead of a traceback."""
        line = f"{error_class}: {message}\n" if message else f"{error_class}\n"
        return self.root.error(exception_class_path=error_class, traceback=traceback or line)

    def _errors_without_run(self, state: State) -> list[Any]:
        kind = _WITHOUT_RUN.get(state)
        return [] if kind is None else [self._error(f"{kind.__module__}.{kind.__qualname__}", "", "")]

    def _lazily(self, claim: Claim, state: State, times: Callable[[], dict[str, Any]]) -> Any:
        """Return a result of a claim; its id, status and Task alone cost little."""
        known: dict[str, Any] = {}
        database = current_database()  # that of the run: it may be read elsewhere

        def read(name: str) -> Any:
            if name == "id":
                return result_id(claim.job_id, database=database)
            if name == "status":
                return self._statuses[state]
            if name == "task" and self._is_as_built(claim):
                return self.task
            if not known:
                known.update(self._call_of(claim), enqueued_at=claim.enqueued_at, **times())
            return known[name]

        return self.root.job_result.lazily(read)

    def _call_of(self, claim: Claim) -> dict[str, Any]:
        return self._call(
            arguments=json.loads(claim.arguments) if claim.arguments else {},
            metadata=json.loads(claim.metadata) if claim.metadata not in {"", "{}"} else {},
            enqueued_at=claim.enqueued_at,
            queue_name=claim.queue_name,
            priority=claim.priority,
        )

    def _call(
        self,
        *,
        arguments: Mapping[str, Any],
        metadata: Mapping[str, Any],
        enqueued_at: datetime,
        queue_name: str,
        priority: int,
    ) -> dict[str, Any]:
        """Return the values of a result that the enqueue has decided."""
        call = TaskCall.read(metadata, alias=self.task.backend, enqueued_at=enqueued_at)
        if call.alias not in self.root.handler.settings:  # it is gone from TASKS
            call = call._replace(alias=self.task.backend)
        args, kwargs = call.arguments(arguments)
        return {
            "task": self._task_as_enqueued(call, queue_name=queue_name, priority=priority),
            "args": args,
            "kwargs": kwargs,
            "backend": call.alias,
        }

    def _is_as_built(self, claim: Claim) -> bool:
        """Tell whether a job was enqueued by the Task as it was built; the metadata is not parsed for that."""
        task, metadata = self.task, claim.metadata
        return bool(
            task.priority == claim.priority
            and task.queue_name == claim.queue_name
            and task.backend == DEFAULT_ALIAS
            and (metadata == "{}" or ('"alias"' not in metadata and '"run_after"' not in metadata))
        )

    def _task_as_enqueued(self, call: TaskCall, *, queue_name: str, priority: int) -> Any:
        task = self.task
        as_built = (task.backend, task.queue_name, task.priority, None)
        if (call.alias, queue_name, priority, call.run_after) == as_built:
            return task
        return copy_task(task, backend=call.alias, queue_name=queue_name, priority=priority, run_after=call.run_after)


def copy_task(task: Any, **changes: Any) -> Any:
    """Return a Task with other values, not validated again."""
    copy = object.__new__(type(task))
    for known in fields(task):
        object.__setattr__(copy, known.name, changes.get(known.name, getattr(task, known.name)))
    return copy


def _instant(seconds: float) -> datetime:
    from ...store.dialects.base.jobs import from_epoch

    return from_epoch(seconds)
