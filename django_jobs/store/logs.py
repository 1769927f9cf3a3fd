"""Logs of runs: saved while the run has its claim, and deleted with the job."""

from __future__ import annotations

from collections.abc import Collection

from ..models import JobLog
from ..models.job_log import CLAIM_INDEX
from ..policy.log_lines import LogExcerpt
from .dialects import open_dialect
from .dialects.base.jobs import Claim
from .dialects.shared.by_id import InIds, delete_rows


def save_log(claim: Claim, excerpt: LogExcerpt, *, worker_id: int, using: str | None = None) -> None:
    """Save a run's log so far; nothing if the claim is lost. One guarded statement."""
    dialect, connection = open_dialect(using)
    dialect.logs.save(connection, claim, excerpt, worker_id=worker_id)


def logs_of(
    job_id: int, claim_numbers: Collection[int] | None = None, *, using: str | None = None
) -> dict[int, JobLog]:
    """Return the logs of a job's runs, by claim number: of these runs, or of all. One statement."""
    _, connection = open_dialect(using)
    rows = JobLog.objects.using(connection.alias).filter(job=job_id)
    if claim_numbers is not None:
        rows = rows.filter(claim_number__in=claim_numbers)
    return {log.claim_number: log for log in rows}


def delete_logs(job_ids: list[int], *, using: str) -> None:
    """Delete the logs of jobs."""
    delete_rows(JobLog.objects.using(using).filter(InIds("job_id", job_ids, index=CLAIM_INDEX)))
