"""Log lines of runs: one row per run that logged something."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import models

from ..policy.plurals import counted
from .base import JobsManager
from .job import Job

CLAIM_INDEX = "django_jobs_joblog_claim"
"""Index of a job's logs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedLine:
    """One log line. ``logger`` is empty for ``current_job().log``."""

    at: datetime
    level: str
    logger: str
    message: str


class JobLog(models.Model):
    """Log of one run: the first and the last of ``total`` lines.

    ``data`` has one list ``[seconds since the epoch, level, logger, message]`` per line. Omitted lines belong after the
    first ``head``.
    """

    id = models.BigAutoField(primary_key=True)
    job = models.ForeignKey(
        Job, on_delete=models.CASCADE, db_constraint=False, db_index=False, related_query_name="logs"
    )
    claim_number = models.IntegerField()
    data = models.JSONField(default=list)
    head = models.IntegerField(default=0)
    total = models.BigIntegerField(default=0)

    objects = JobsManager["JobLog"]()

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(name=CLAIM_INDEX, fields=["job", "claim_number"]),
        ]

    def __str__(self) -> str:
        return f"{counted(self.total, 'line')} of claim {self.claim_number} of job {self.job_id}"

    @property
    def lines(self) -> list[LoggedLine]:
        """The stored lines in order; omitted ones belong after the first ``head``."""
        return [
            LoggedLine(at=datetime.fromtimestamp(at, UTC), level=level, logger=logger, message=message)
            for at, level, logger, message in self.data
        ]

    @property
    def omitted(self) -> int:
        """Number of omitted lines."""
        return self.total - len(self.data)

    @property
    def first(self) -> list[LoggedLine]:
        """The lines before the omitted ones."""
        return self.lines[: self.head]

    @property
    def last(self) -> list[LoggedLine]:
        """The lines after the omitted ones."""
        return self.lines[self.head :]
