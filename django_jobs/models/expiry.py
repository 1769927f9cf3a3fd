"""Expiry times of jobs: one row per job that expires."""

from __future__ import annotations

from django.db import models

from .base import JobsManager
from .job import Job


class Expiry(models.Model):
    """When a job expires. A separate table, so that other jobs pay for no column and no index.

    ``check_at`` is when maintenance checks whether the job still waits, None after the check. ``expired_at`` is when
    the job was cancelled because it had expired.
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
        indexes = [models.Index(name="django_jobs_expiry_check", fields=["check_at", "job"])]

    def __str__(self) -> str:
        return f"job {self.job_id} until {self.expires_at}"
