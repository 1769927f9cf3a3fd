"""Attempts of jobs: one row each, inserted when the attempt ends."""

from __future__ import annotations

from datetime import timedelta

from django.db import models
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ..policy.error_text import error_text
from .base import JobsManager
from .job import Job
from .job_log import JobLog
from .labels import ATTEMPT_OUTCOME_LABELS, choices
from .worker import Worker

MAX_ERROR_CLASS_LENGTH = 200
CLAIM_INDEX = "django_jobs_attempt_claim"
"""Index of a job's attempts."""


class Attempt(models.Model):
    """Outcome of one attempt of a job.

    ``number`` counts attempts used; ``claim_number`` is unique within the job. ``error_class`` is the path of an
    exception, ``builtins.ValueError``, and empty if the attempt ended without one.
    """

    id = models.BigAutoField(_("ID"), primary_key=True)
    job = models.ForeignKey(
        Job, on_delete=models.CASCADE, db_constraint=False, db_index=False, related_query_name="attempts"
    )
    number = models.SmallIntegerField(_("number"))
    claim_number = models.IntegerField(_("claim number"))
    worker = models.ForeignKey(
        Worker,
        null=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="attempts",
    )
    outcome = models.CharField(max_length=10, choices=choices(ATTEMPT_OUTCOME_LABELS))
    ready_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField()
    error_class = models.CharField(max_length=MAX_ERROR_CLASS_LENGTH, default="")
    error_message = models.TextField(default="")
    traceback = models.TextField(default="")

    objects = JobsManager["Attempt"]()

    class Meta:
        verbose_name = _("attempt")
        verbose_name_plural = _("attempts")
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(name=CLAIM_INDEX, fields=["job", "claim_number"]),
        ]

    def __str__(self) -> str:
        values = {"number": self.number, "id": self.job_id, "outcome": self.get_outcome_display()}
        return gettext("attempt %(number)s of job %(id)s: %(outcome)s") % values

    @property
    def error(self) -> str | None:
        """The error as ``Class: message``, or None if the attempt ended without one."""
        return error_text(self.error_class, self.error_message) if self.error_class else None

    @property
    def log(self) -> JobLog | None:
        """The log of this attempt, or None if it logged nothing."""
        logs = JobLog.objects.using(self._state.db)
        return logs.filter(job=self.job_id, claim_number=self.claim_number).first()

    @property
    def duration(self) -> timedelta | None:
        """How long the function ran, or None if it never started."""
        return self.finished_at - self.started_at if self.started_at else None

    @property
    def waited(self) -> timedelta | None:
        """How long the job was ready before this attempt started."""
        return self.started_at - self.ready_at if self.started_at and self.ready_at else None
