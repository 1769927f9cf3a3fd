"""Jobs: one row each, from enqueue to pruning."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn

from django.db import models
from django.db.models.signals import pre_delete
from django.utils.translation import gettext_lazy as _

from ..arguments.serialization import RESULT_EXPIRED, RESULT_NOT_STORABLE, decode
from ..conf.database import public_id
from ..conf.readers import MAX_NAME_LENGTH, MAX_QUEUE_NAME_LENGTH
from ..exceptions import ResultExpiredError, WaitTimeoutError
from ..policy.activity import ReportedRun, read_activity
from ..policy.cancellation import CancelResult
from ..policy.durations import ZERO, Duration, read_duration
from ..policy.flags import JobFlag
from ..policy.priorities import MAX_PRIORITY, MIN_PRIORITY
from ..policy.states import FINAL_STATES, WAITING_STATES, State
from ..result_storage import ResultFile, parse_result_file, read_result
from .base import NameField, StateIndex, alters_data
from .labels import STATE_LABELS, choices
from .querysets import DELETE_REFUSED, JobManager
from .worker import Worker

if TYPE_CHECKING:
    from .attempt import Attempt
    from .expiry import Expiry
    from .job_log import JobLog

MAX_PROGRESS_MESSAGE_LENGTH = 200
_MIN_POLL_SECONDS, _MAX_POLL_SECONDS = 0.005, 0.25


class Job(models.Model):
    """One background job: function name, arguments, state and result.

    All times are by the database's clock. ``attempt`` counts the attempts used so far, including a running one;
    ``claim_number`` grows with every claim and identifies a run. ``run_after`` is set only while the job is scheduled.
    ``flags`` has the bits of ``policy.flags.JobFlag``, which select the extra work at the job's end.
    """

    id = models.BigAutoField(_("ID"), primary_key=True)
    name = NameField(max_length=MAX_NAME_LENGTH)
    queue_name = NameField(_("queue name"), max_length=MAX_QUEUE_NAME_LENGTH)
    priority = models.SmallIntegerField(default=0)
    state = models.CharField(max_length=10, choices=choices(STATE_LABELS), default=State.READY)
    arguments = models.JSONField(default=dict)
    metadata = models.JSONField(default=dict)
    result_data = models.JSONField(null=True, db_column="result")

    attempt = models.SmallIntegerField(default=0)
    max_attempts = models.SmallIntegerField()
    claim_number = models.IntegerField(default=0)
    worker = models.ForeignKey(
        Worker,
        null=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="jobs",
    )

    enqueued_at = models.DateTimeField()
    run_after = models.DateTimeField(null=True)
    ready_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    unknown_since = models.DateTimeField(null=True)
    worker_deaths = models.SmallIntegerField(default=0)
    flags = models.SmallIntegerField(default=0, db_default=0)
    cancel_requested_at = models.DateTimeField(null=True)

    progress_done = models.BigIntegerField(null=True)
    progress_total = models.BigIntegerField(null=True)
    progress_message = models.CharField(max_length=MAX_PROGRESS_MESSAGE_LENGTH, default="")

    objects = JobManager()

    is_duplicate = False
    """True on a job returned by an enqueue whose key another job already holds."""

    class Meta:
        verbose_name = _("job")
        verbose_name_plural = _("jobs")
        default_permissions = ("view",)
        permissions = [
            ("view_job_arguments", _("Can view arguments, results and errors of jobs")),
            ("retry_job", _("Can retry jobs and run scheduled ones now")),
            ("cancel_job", _("Can cancel jobs")),
            ("purge_job", _("Can purge jobs")),
            ("move_job", _("Can move jobs to other queues and set their priority")),
            ("enqueue_job", _("Can enqueue copies of jobs")),
            ("enqueue_new_job", _("Can enqueue new jobs by a form")),
        ]
        indexes = [
            StateIndex(
                name="django_jobs_ready",
                state=State.READY.value,
                fields=["queue_name", "priority", "ready_at", "id"],
                fallback_fields=["state", "queue_name", "priority", "ready_at", "id"],
            ),
            StateIndex(
                name="django_jobs_scheduled",
                state=State.SCHEDULED.value,
                fields=["run_after", "id"],
                fallback_fields=["run_after", "id"],
            ),
            StateIndex(
                name="django_jobs_running",
                state=State.RUNNING.value,
                fields=["id"],
                fallback_fields=["state", "id"],
            ),
        ]
        constraints = [
            models.CheckConstraint(
                name="django_jobs_job_state",
                condition=models.Q(state__in=[state.value for state in State]),
            ),
            # A manual edit that breaks one of these would leave a job that no operation ever finds.
            models.CheckConstraint(
                name="django_jobs_job_ready_at",
                condition=~models.Q(state=State.READY.value) | models.Q(ready_at__isnull=False),
            ),
            models.CheckConstraint(
                name="django_jobs_job_run_after",
                condition=~models.Q(state=State.SCHEDULED.value) | models.Q(run_after__isnull=False),
            ),
            models.CheckConstraint(
                name="django_jobs_job_priority",
                condition=models.Q(priority__gte=MIN_PRIORITY, priority__lte=MAX_PRIORITY),
            ),
            models.CheckConstraint(
                name="django_jobs_job_attempt",
                condition=~models.Q(state__in=[state.value for state in State if state in WAITING_STATES])
                | models.Q(attempt__gte=0, attempt__lt=models.F("max_attempts")),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} #{self.public_id} ({self.get_state_display()})"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Raise TypeError: a plain save could overwrite a concurrent claim; the engine uses guarded updates."""
        raise TypeError(
            "Job.save() could overwrite a worker's changes; use .enqueue(), .cancel() or the functions of"
            " django_jobs.operations"
        )

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Raise TypeError: a plain delete leaves permits, keys and counts of the job behind."""
        raise TypeError(DELETE_REFUSED)

    @property
    def public_id(self) -> int | str:
        """Its number, or database and number such as ``eu:4711`` if jobs are in several databases."""
        return public_id(self.pk, database=self._state.db)

    @property
    def expires_at(self) -> datetime | None:
        """Deadline for its start, or None. One statement if the job expires."""
        expiry = self._expiry
        return expiry.expires_at if expiry else None

    @property
    def expired_at(self) -> datetime | None:
        """When it was cancelled because it had expired, or None."""
        expiry = self._expiry
        return expiry.expired_at if expiry else None

    @property
    def _expiry(self) -> Expiry | None:
        found: Expiry | None = getattr(self, "expiry", None) if self.flags & JobFlag.EXPIRES else None
        return found

    @property
    def reported_run(self) -> ReportedRun | None:
        """Its current run as its worker reported it last; None if it had not begun then. Reads the worker's row."""
        activity = read_activity(self._activity)
        return activity.find(self.pk, self.claim_number) if activity else None

    @property
    def run_started_at(self) -> datetime | None:
        """When its current run began; None if it does not run, or was claimed and had not begun at the last report.

        ``started_at`` of a running job is its claim. Reads the worker's row.
        """
        if self.state != State.RUNNING:
            return None
        if self._activity is None:
            return self.started_at
        run = self.reported_run
        return run.run_started_at if run else None

    @property
    def _activity(self) -> Any:
        try:
            return self.worker.activity if self.state == State.RUNNING and self.worker else None
        except Worker.DoesNotExist:
            return None

    @property
    def is_final(self) -> bool:
        """True if succeeded, cancelled or dead: only a redrive leaves such a state."""
        return self.state in FINAL_STATES

    @property
    def result(self) -> Any:
        """Return value of the function; None if it returned None, has not ended, or JSON cannot represent it.

        Model instances are loaded now. Raises the model's ``DoesNotExist`` for a deleted instance, ResultExpiredError
        after the result's time to live, ResultUnreadableError if its file cannot be read.
        """
        return decode(self.result_json)

    @property
    def result_json(self) -> Any:
        """The result as stored JSON, with type tags. Raises ResultExpiredError and ResultUnreadableError."""
        if self.is_result_lost:
            return None
        if self.is_result_expired:
            raise ResultExpiredError(
                f"the result of job {self.public_id} ({self.name}) has expired: its time to live has passed"
            )
        file = self.result_file
        return self.result_data if file is None else read_result(file)

    @property
    def result_file(self) -> ResultFile | None:
        """The result's file in RESULTS["STORAGE"], or None if the row has the result."""
        return parse_result_file(self.result_data)

    @property
    def is_result_expired(self) -> bool:
        """True if the job succeeded and its result was deleted after its time to live."""
        return bool(self.result_data == RESULT_EXPIRED)

    @property
    def is_result_lost(self) -> bool:
        """True if the job succeeded and its result could not be stored; the worker's log has the reason."""
        return self.result_data == RESULT_NOT_STORABLE

    @property
    def error(self) -> str | None:
        """Error of the last attempt as ``Class: message``, or None."""
        attempt = self.last_attempt
        return attempt.error if attempt else None

    @property
    def attempts(self) -> models.QuerySet[Attempt]:
        """Finished attempts, oldest first."""
        return self.attempt_set.db_manager(self._state.db).order_by("claim_number")

    @property
    def last_attempt(self) -> Attempt | None:
        """The newest finished attempt, or None."""
        return self.attempts.last()

    @property
    def log(self) -> JobLog | None:
        """Log of the newest run, also while it runs; None if it logged nothing."""
        return self.joblog_set.db_manager(self._state.db).filter(claim_number=self.claim_number).first()

    def refresh(self) -> Job:
        """Reload the row and return this object. Raises ``Job.DoesNotExist`` if it was purged."""
        self.refresh_from_db(using=self._state.db)
        return self

    @alters_data
    def cancel(self, *, by: str = "") -> CancelResult:
        """Cancel the job if it waits, request its cancellation if it runs; refresh it and tell which was done.

        In the caller's transaction. A job whose cancellation was requested never runs again, however its run ends;
        ``wait()`` returns once it has.
        """
        result = type(self).objects.using(self._state.db).filter(pk=self.pk).cancel(by=by)
        self.refresh()
        return result

    def wait(self, timeout: Duration | None = None) -> Job:
        """Poll until the job is in a final state; return it refreshed.

        ``timeout`` is a timedelta or seconds; None waits for ever. Raises WaitTimeoutError. Call it outside of
        transactions: one under REPEATABLE READ, or with the uncommitted enqueue, never sees the end.
        """
        seconds = None if timeout is None else read_duration("timeout", timeout, minimum=ZERO).total_seconds()
        deadline = None if seconds is None else time.monotonic() + seconds
        pause = _MIN_POLL_SECONDS
        while not self.refresh().is_final:
            if deadline is not None:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise WaitTimeoutError(
                        f"job {self.public_id} ({self.name}) is still {self.state} after {seconds:g} s"
                    )
                pause = min(pause, left)
            time.sleep(pause)
            pause = min(pause * 1.5, _MAX_POLL_SECONDS)
        return self


def _refuse_delete(**kwargs: Any) -> None:
    """Refuse deletes that reach jobs another way: by another manager, or by a cascade."""
    raise TypeError(DELETE_REFUSED)


pre_delete.connect(_refuse_delete, sender=Job)
