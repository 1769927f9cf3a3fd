"""The statement that saves a run's log, nearly the same on every database.

It writes only while the run has its claim, and never fewer lines over more: a late save changes nothing.
"""

from __future__ import annotations

import json

from django.db.backends.base.base import BaseDatabaseWrapper

from ....policy.log_lines import LogExcerpt
from .jobs import Claim

INSERT_LOG = """
INSERT INTO django_jobs_joblog (job_id, claim_number, data, head, total)
SELECT job.id, job.claim_number, {data}, %(head)s, %(total)s
FROM django_jobs_job AS job
WHERE job.id = %(job_id)s AND job.state = 'running' AND job.worker_id = %(worker_id)s
  AND job.claim_number = %(claim_number)s
"""
ON_CONFLICT = """
ON CONFLICT (job_id, claim_number) DO UPDATE
SET data = excluded.data, head = excluded.head, total = excluded.total
WHERE excluded.total > django_jobs_joblog.total
"""


class LogStatements:
    """Save a run's log. ``data``: the expression of its JSON; ``merge``: the clause that replaces an older save."""

    def __init__(self, *, data: str = "%(data)s", merge: str = ON_CONFLICT) -> None:
        self._save = INSERT_LOG.format(data=data) + merge

    def save(self, connection: BaseDatabaseWrapper, claim: Claim, excerpt: LogExcerpt, *, worker_id: int) -> None:
        """Write a run's log over its earlier save, if the run still has its claim."""
        values: dict[str, int | str] = {
            "job_id": claim.job_id,
            "claim_number": claim.claim_number,
            "worker_id": worker_id,
            "data": json.dumps(excerpt.lines, ensure_ascii=False),
            "head": excerpt.head,
            "total": excerpt.total,
        }
        with connection.cursor() as cursor:
            cursor.execute(self._save, values)
