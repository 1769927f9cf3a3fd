"""Dead letters: what failed for good, why, and what became of it."""

from __future__ import annotations

from django.db import models

from ..conf import MAX_NAME_LENGTH, MAX_QUEUE_NAME_LENGTH
from ..policy.fingerprint import FINGERPRINT_LENGTH
from ..policy.outcomes import DeathReason
from .attempt import MAX_ERROR_CLASS_LENGTH
from .base import JobsManager, NameField
from .job import Job

MAX_ACTOR_LENGTH = 150


class DeadLetter(models.Model):
    """One death of a job. A job that is redriven and dies again has two letters.

    ``fingerprint`` is equal for equal errors of one job name. ``resolved_by`` is free text, usually
    a user name: users may live in another database.
    """

    class Status(models.TextChoices):
        """What became of the letter."""

        OPEN = "open"
        REDRIVEN = "redriven"
        PURGED = "purged"

    id = models.BigAutoField(primary_key=True)
    job = models.ForeignKey(
        Job, null=True, on_delete=models.SET_NULL, db_constraint=False, related_name="dead_letters"
    )
    job_name = NameField(max_length=MAX_NAME_LENGTH)
    queue_name = NameField(max_length=MAX_QUEUE_NAME_LENGTH)
    reason = models.CharField(max_length=20, choices=[(one.value, one.value) for one in DeathReason])
    attempt = models.SmallIntegerField()
    error_class = models.CharField(max_length=MAX_ERROR_CLASS_LENGTH, default="")
    error_message = models.TextField(default="")
    traceback = models.TextField(default="")
    fingerprint = models.CharField(max_length=FINGERPRINT_LENGTH)
    died_at = models.DateTimeField()
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.OPEN)
    resolved_at = models.DateTimeField(null=True)
    resolved_by = models.CharField(max_length=MAX_ACTOR_LENGTH, default="")

    objects = JobsManager["DeadLetter"]()

    class Meta:
        indexes = [
            models.Index(name="django_jobs_letter_group", fields=["status", "fingerprint", "died_at"]),
            models.Index(name="django_jobs_letter_died", fields=["died_at"]),
        ]

    def __str__(self) -> str:
        return f"{self.job_name}: {self.error_class or self.reason} ({self.status})"


class AlertedError(models.Model):
    """A fingerprint that the admins were mailed about, and when: one mail a period over all workers."""

    fingerprint = models.CharField(max_length=FINGERPRINT_LENGTH, primary_key=True)
    alerted_at = models.DateTimeField()

    objects = JobsManager["AlertedError"]()

    def __str__(self) -> str:
        return f"{self.fingerprint} at {self.alerted_at}"
