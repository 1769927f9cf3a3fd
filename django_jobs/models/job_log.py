"""One row for each run of a job that logged something."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import models

from .base import JobsManager
from .job import Job

CLAIM_INDEX = "django_jobs_joblog_claim"
"""The index of a job's logs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedLine:
    """One line of a log: when, at which level, by which logger (none for ``current_job().log``), and what."""

    at: datetime
    level: str
    logger: str
    message: str


class JobLog(models.Model):
    """What one run of a job logged: the first and the last lines of ``total``.

    ``data`` has a list ``[seconds since the epoch, level, logger, message]`` a line; ``head`` of them came before those
    left out.
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
        return f"{self.total} lines of claim {self.claim_number} of job {self.job_id}"

    @property
    def lines(self) -> list[LoggedLine]:
        """The lines that are kept, in order; those left out are missing behind the first ``head``."""
        return [
            LoggedLine(at=datetime.fromtimestamp(at, UTC), level=level, logger=logger, message=message)
            for at, level, logger, message in self.data
        ]

    @property
    def omitted(self) -> int:
        """How many lines were left out."""
        return self.total - len(self.data)

    @property
    def first(self) -> list[LoggedLine]:
        """The lines before those left out."""
        return self.lines[: self.head]

    @property
    def last(self) -> list[LoggedLine]:
        """The lines after those left out."""
        return self.lines[self.head :]
