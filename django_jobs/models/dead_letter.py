"""Dead letters: jobs that failed for good, the error, and how staff resolved it."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from ..conf.readers import MAX_NAME_LENGTH, MAX_QUEUE_NAME_LENGTH
from ..policy.error_text import class_text
from ..policy.fingerprint import FINGERPRINT_LENGTH
from ..policy.outcomes import DeathReason
from .attempt import MAX_ERROR_CLASS_LENGTH
from .base import MAX_ACTOR_LENGTH, MAX_NOTE_LENGTH, JobsManager, NameField
from .job import Job
from .querysets import DeadLetterManager


class DeadLetter(models.Model):
    """One final failure of a job. A job that is redriven and dies again has two dead letters.

    ``fingerprint`` is equal for equal errors of one job name. ``resolved_by`` is free text, usually a user name,
    because users may live in another database. Resolving a dead letter leaves its job dead.
    """

    class Status(models.TextChoices):
        """Open, or how it was closed."""

        OPEN = "open", _("open")
        REDRIVEN = "redriven", _("redriven")
        PURGED = "purged", _("purged")
        RESOLVED = "resolved", _("resolved")

    id = models.BigAutoField(primary_key=True)
    job = models.ForeignKey(Job, null=True, on_delete=models.SET_NULL, db_constraint=False, related_name="dead_letters")
    job_name = NameField(_("job name"), max_length=MAX_NAME_LENGTH)
    queue_name = NameField(max_length=MAX_QUEUE_NAME_LENGTH)
    reason = models.CharField(max_length=20, choices=[(reason.value, reason.value) for reason in DeathReason])
    attempt = models.SmallIntegerField()
    error_class = models.CharField(max_length=MAX_ERROR_CLASS_LENGTH, default="")
    error_message = models.TextField(default="")
    traceback = models.TextField(default="")
    fingerprint = models.CharField(max_length=FINGERPRINT_LENGTH)
    died_at = models.DateTimeField()
    status = models.CharField(_("status"), max_length=10, choices=Status.choices, default=Status.OPEN)
    resolved_at = models.DateTimeField(null=True)
    resolved_by = models.CharField(max_length=MAX_ACTOR_LENGTH, default="")
    note = models.CharField(max_length=MAX_NOTE_LENGTH, default="", db_default="", blank=True)

    objects = DeadLetterManager()

    class Meta:
        verbose_name = _("dead letter")
        verbose_name_plural = _("dead letters")
        default_permissions = ("view",)
        permissions = [
            ("redrive_deadletter", _("Can redrive dead letters")),
            ("purge_deadletter", _("Can purge dead letters")),
            ("resolve_deadletter", _("Can resolve, mute and annotate dead letters")),
        ]
        indexes = [
            models.Index(name="django_jobs_deadletter_group", fields=["status", "fingerprint", "id"]),
            models.Index(name="django_jobs_deadletter_status", fields=["status", "id"]),
            models.Index(name="django_jobs_deadletter_died", fields=["died_at"]),
        ]

    def __str__(self) -> str:
        return f"{self.job_name}: {class_text(self.error_class) or self.reason} ({self.get_status_display()})"


class AlertHistory(models.Model):
    """Last alert mail for a fingerprint: one mail per period over all workers."""

    fingerprint = models.CharField(max_length=FINGERPRINT_LENGTH, primary_key=True)
    alerted_at = models.DateTimeField()

    objects = JobsManager["AlertHistory"]()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.fingerprint} at {self.alerted_at}"
