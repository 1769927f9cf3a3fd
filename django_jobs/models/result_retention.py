"""Until when a job's result is kept, and in which file it stands: for those results only that need to say it."""

from __future__ import annotations

from django.db import models

from ..conf import MAX_ALIAS_LENGTH
from ..result_files import MAX_NAME_LENGTH as MAX_FILE_NAME_LENGTH
from .base import JobsManager


class ResultRetention(models.Model):
    """Written with the job's success. ``expires_at`` None: as long as the job.

    Where the job is deleted, the row stays, due now, until its file is deleted too. ``file_name`` empty: the result
    stands in the job's own row.
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
            models.Index(name="django_jobs_kept_job", fields=["job_id"]),
            models.Index(name="django_jobs_kept_until", fields=["expires_at", "id"]),
        ]

    def __str__(self) -> str:
        return f"result of job {self.job_id}"
