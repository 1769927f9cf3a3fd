"""Expiry and file of job results: rows only for results that expire or live in a file."""

from __future__ import annotations

from django.db import models

from ..conf.readers import MAX_ALIAS_LENGTH
from ..result_storage import MAX_NAME_LENGTH as MAX_FILE_NAME_LENGTH
from .base import JobsManager


class ResultRetention(models.Model):
    """Inserted when the job succeeds. ``expires_at`` None: kept as long as the job.

    When the job is deleted the row stays, due at once, until its file is deleted too. ``file_name`` is empty if the
    result is in the job's row.
    """

    id = models.BigAutoField(primary_key=True)
    job_id = models.BigIntegerField()
    expires_at = models.DateTimeField(null=True)
    storage = models.CharField(max_length=MAX_ALIAS_LENGTH, default="")
    file_name = models.CharField(max_length=MAX_FILE_NAME_LENGTH, default="")

    objects = JobsManager["ResultRetention"]()

    class Meta:
        default_permissions = ()
        indexes = [
            models.Index(name="django_jobs_retention_job", fields=["job_id"]),
            models.Index(name="django_jobs_retention_expires", fields=["expires_at", "id"]),
        ]

    def __str__(self) -> str:
        return f"result of job {self.job_id}"
