"""Logs: what a run said, saved while its claim stands, and deleted with its job."""

from __future__ import annotations

from ..models import JobLog
from ..policy.log_lines import KeptLines
from .dialects import logs, open_dialect
from .dialects.among import Among
from .dialects.base import Claim


def save_log(claim: Claim, kept: KeptLines, *, worker_id: int, using: str | None = None) -> None:
    """Write what a run has logged so far; nothing where the claim is lost. One guarded statement."""
    _, connection = open_dialect(using)
    logs.save_log(connection, claim, kept, worker_id=worker_id)


def delete_logs(job_ids: list[int], *, using: str) -> None:
    """Delete the logs of jobs. Their keys are read first: MySQL would lock the whole of a small table otherwise."""
    rows = JobLog.objects.using(using)
    ids = list(rows.filter(job_id__in=job_ids).values_list("pk", flat=True))
    if ids:
        rows.filter(Among("id", ids))._raw_delete(using)
