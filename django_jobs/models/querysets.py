"""Querysets of the models that staff act on: filters by state, and operations on all selected rows.

The operations are those of ``django_jobs.operations``, on the queryset's database.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, Self

from django.apps import apps
from django.db.models import QuerySet

from ..policy.cancellation import CancelResult
from ..policy.states import FINAL_STATES, WAITING_STATES, State
from .base import JobsManager, alters_data

if TYPE_CHECKING:
    from .dead_letter import DeadLetter
    from .job import Job
    from .queue import Queue
    from .worker import Worker

DELETE_REFUSED = (
    "Job.delete() would leave the permits, keys and counts of the job behind, and others would wait for it for ever;"
    " use .purge() for ended jobs, and .cancel() for the others before that"
)


def _operations() -> Any:
    """Return ``django_jobs.operations`` from the app's configuration; it stands above the models."""
    return apps.get_app_config("django_jobs").operations  # type: ignore[attr-defined]  # of our own configuration


class JobQuerySet(QuerySet["Job"]):
    """Jobs by state, and what can be done to them. Jobs to which an operation does not apply are left alone."""

    def blocked(self) -> Self:
        """Select jobs that wait for other jobs or for a limit."""
        return self.filter(state=State.BLOCKED)

    def scheduled(self) -> Self:
        """Select jobs that run later, retries included."""
        return self.filter(state=State.SCHEDULED)

    def ready(self) -> Self:
        """Select jobs that a worker may claim."""
        return self.filter(state=State.READY)

    def running(self) -> Self:
        """Select jobs that a worker runs."""
        return self.filter(state=State.RUNNING)

    def succeeded(self) -> Self:
        """Select jobs that succeeded."""
        return self.filter(state=State.SUCCEEDED)

    def cancelled(self) -> Self:
        """Select cancelled jobs."""
        return self.filter(state=State.CANCELLED)

    def dead(self) -> Self:
        """Select jobs that failed for good."""
        return self.filter(state=State.DEAD)

    def waiting(self) -> Self:
        """Select jobs that are blocked, scheduled or ready."""
        return self.filter(state__in=[state for state in State if state in WAITING_STATES])

    def finished(self) -> Self:
        """Select jobs that succeeded, were cancelled or are dead."""
        return self.filter(state__in=[state for state in State if state in FINAL_STATES])

    @alters_data
    def delete(self) -> NoReturn:
        """Raise TypeError: a plain delete leaves permits, keys and counts of the jobs behind."""
        raise TypeError(DELETE_REFUSED)

    delete.queryset_only = True  # type: ignore[attr-defined]  # as Django's own: a manager has no delete()

    @alters_data
    def cancel(self, *, by: str = "") -> CancelResult:
        """Cancel waiting jobs and request cancellation of running ones; return how many of each."""
        result: CancelResult = _operations().cancel(self, by=by, using=self.db)
        return result

    @alters_data
    def run_now(self, *, by: str = "", priority: int | None = None) -> int:
        """Make scheduled jobs ready before they are due; return how many."""
        return int(_operations().run_now(self, by=by, priority=priority, using=self.db))

    @alters_data
    def redrive(self, *, by: str = "", priority: int | None = None) -> int:
        """Make dead jobs ready again with all their attempts; return how many."""
        return int(_operations().redrive(self, by=by, priority=priority, using=self.db))

    @alters_data
    def move(self, *, to: str, by: str = "") -> int:
        """Move waiting jobs to another queue; return how many."""
        return int(_operations().move(self, to=to, by=by, using=self.db))

    @alters_data
    def set_priority(self, *, priority: int, by: str = "") -> int:
        """Give waiting jobs this priority; return how many had another."""
        return int(_operations().set_priority(self, priority=priority, by=by, using=self.db))

    @alters_data
    def purge(self, *, by: str = "") -> int:
        """Delete finished jobs; return how many."""
        return int(_operations().purge(self, by=by, using=self.db))

    @alters_data
    def replay(self) -> list[int]:
        """Enqueue a copy of each job; return the ids of the copies."""
        return list(_operations().replay(self, using=self.db))


class DeadLetterQuerySet(QuerySet["DeadLetter"]):
    """Dead letters by status, and what can be done to the open ones among them."""

    def open(self) -> Self:
        """Select dead letters that nobody has dealt with."""
        return self.filter(status=self.model.Status.OPEN)

    def redriven(self) -> Self:
        """Select dead letters whose jobs were made ready again."""
        return self.filter(status=self.model.Status.REDRIVEN)

    def purged(self) -> Self:
        """Select dead letters whose jobs were deleted."""
        return self.filter(status=self.model.Status.PURGED)

    def resolved(self) -> Self:
        """Select dead letters that were closed while their jobs stay dead."""
        return self.filter(status=self.model.Status.RESOLVED)

    @alters_data
    def redrive(self, *, by: str = "", priority: int | None = None) -> int:
        """Make the jobs of open dead letters ready again; return how many."""
        return int(_operations().redrive(self, by=by, priority=priority, using=self.db))

    @alters_data
    def purge(self, *, by: str = "") -> int:
        """Delete the jobs of open dead letters, which stay as a record; return how many."""
        return int(_operations().purge(self, by=by, using=self.db))

    @alters_data
    def resolve(self, *, by: str = "", note: str | None = None) -> int:
        """Close open dead letters, with a note if given; return how many. Their jobs stay dead."""
        return int(_operations().resolve(self, by=by, note=note, using=self.db))


class QueueQuerySet(QuerySet["Queue"]):
    """Queues, and pausing and resuming of those selected."""

    def paused(self) -> Self:
        """Select queues of which no job is claimed."""
        return self.filter(paused_at__isnull=False)

    @alters_data
    def pause(self, *, by: str = "") -> int:
        """Pause these queues; return how many were not paused before."""
        return sum(_operations().pause(queue.name, by=by, using=self.db) for queue in self)

    @alters_data
    def resume(self) -> int:
        """Resume these queues; return how many were paused."""
        return sum(_operations().resume(queue.name, using=self.db) for queue in self)


class WorkerQuerySet(QuerySet["Worker"]):
    """Workers by state."""

    def alive(self) -> Self:
        """Select workers that run or are about to stop."""
        return self.filter(state__in=self.model.ALIVE_STATES)


JobManager = JobsManager.from_queryset(JobQuerySet)
DeadLetterManager = JobsManager.from_queryset(DeadLetterQuerySet)
QueueManager = JobsManager.from_queryset(QueueQuerySet)
WorkerManager = JobsManager.from_queryset(WorkerQuerySet)
