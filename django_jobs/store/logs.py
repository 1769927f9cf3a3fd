"""Logs: what a run said, saved while its claim stands, and deleted with its job."""

from __future__ import annotations

from collections.abc import Collection

from ..models import JobLog
from ..models.job_log import CLAIM_INDEX
from ..policy.log_lines import LogExcerpt
from .dialects import open_dialect
from .dialects.base.jobs import Claim
from .dialects.shared.by_id import InIds, delete_rows


def save_log(claim: Claim, kept: LogExcerpt, *, worker_id: int, using: str | None = None) -> None:
    """Write what a run has logged so far; nothing where the claim is lost. One guarded statement."""
    dialect, connection = open_dialect(using)
    dialect.logs.save(connection, claim, kept, worker_id=worker_id)


def logs_of(
    job_id: int, claim_numbers: Collection[int] | None = None, *, using: str | None = None
) -> dict[int, JobLog]:
    """Return what a job's runs logged, by claim number: of these runs, or of all. One statement."""
    _, connection = open_dialect(using)
    rows = JobLog.objects.using(connection.alias).filter(job=job_id)
    if claim_numbers is not None:
        rows = rows.filter(claim_number__in=claim_numbers)
    return {one.claim_number: one for one in rows}


def delete_logs(job_ids: list[int], *, using: str) -> None:
    """Delete the logs of jobs."""
    delete_rows(JobLog.objects.using(using).filter(InIds("job_id", job_ids, index=CLAIM_INDEX)))
