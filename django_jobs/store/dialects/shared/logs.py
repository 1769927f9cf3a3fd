"""The statement that saves a run's log: a part of the dialect, nearly the same on every database.

It writes only while the claim stands, and never fewer lines over more: one that came late changes nothing.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ....policy.log_lines import LogExcerpt
from ..base.jobs import Claim

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

_INSERT = """
INSERT INTO django_jobs_joblog (job_id, claim_number, data, head, total)
SELECT job.id, job.claim_number, {data}, %(head)s, %(total)s
FROM django_jobs_job AS job
WHERE job.id = %(job_id)s AND job.state = 'running' AND job.worker_id = %(worker_id)s
  AND job.claim_number = %(claim_number)s
"""
_ON_CONFLICT = """
ON CONFLICT (job_id, claim_number) DO UPDATE
SET data = excluded.data, head = excluded.head, total = excluded.total
WHERE excluded.total > django_jobs_joblog.total
"""
# Assigned from left to right: the total, by which the others decide, comes last.
_ON_DUPLICATE_KEY = """
ON DUPLICATE KEY UPDATE
    django_jobs_joblog.data = IF(%(total)s > django_jobs_joblog.total, %(data)s, django_jobs_joblog.data),
    django_jobs_joblog.head = IF(%(total)s > django_jobs_joblog.total, %(head)s, django_jobs_joblog.head),
    django_jobs_joblog.total = IF(%(total)s > django_jobs_joblog.total, %(total)s, django_jobs_joblog.total)
"""
SAVE = {
    "postgresql": _INSERT.format(data="%(data)s::jsonb") + _ON_CONFLICT,
    "sqlite": _INSERT.format(data="%(data)s") + _ON_CONFLICT,
    "mysql": _INSERT.format(data="%(data)s") + _ON_DUPLICATE_KEY,
}


def save_log(connection: BaseDatabaseWrapper, claim: Claim, kept: LogExcerpt, *, worker_id: int) -> None:
    """Write a run's log over what was saved of it before, where its claim still stands."""
    values: dict[str, int | str] = {
        "job_id": claim.job_id,
        "claim_number": claim.claim_number,
        "worker_id": worker_id,
        "data": json.dumps(kept.lines, ensure_ascii=False),
        "head": kept.head,
        "total": kept.total,
    }
    with connection.cursor() as cursor:
        cursor.execute(SAVE[connection.vendor], values)
