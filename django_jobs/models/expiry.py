"""Until when jobs are of use: one row a job that is not so for ever."""

from __future__ import annotations

from django.db import models

from .base import JobsManager
from .job import Job


class Expiry(models.Model):
    """When a job expires. A row of its own, so that jobs that do not have no column, and no index, to pay for.

    ``check_at``: when it is to be looked at whether the job still waits; None once that was done. ``expired_at``: when
    the job was dropped for it.
    """

    job = models.OneToOneField(
        Job,
        primary_key=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="expiry",
    )
    expires_at = models.DateTimeField()
    check_at = models.DateTimeField(null=True)
    expired_at = models.DateTimeField(null=True)

    objects = JobsManager["Expiry"]()

    class Meta:
        default_permissions = ()
        indexes = [models.Index(name="django_jobs_expiry_look", fields=["check_at", "job"])]

    def __str__(self) -> str:
        return f"job {self.job_id} until {self.expires_at}"
