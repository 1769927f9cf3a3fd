"""Statements about batches, the same on every database but for the share lock."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from django.db.backends.base.base import BaseDatabaseWrapper

from ....policy.batches import Counts
from .sql_text import id_list, insert_rows

LOCK_BATCH = """
SELECT state, outcome, description, closed_at IS NOT NULL, cancelled_at IS NOT NULL, total, succeeded, dead, cancelled
FROM django_jobs_batch WHERE id = %s {share_lock}
"""
BATCHES_OF = "SELECT batch_id, job_id FROM django_jobs_batchjob WHERE job_id IN ({ids})"
INSERT_MEMBERS = "INSERT INTO django_jobs_batchjob (job_id, batch_id) VALUES {rows}"
INSERT_COUNT_DELTAS = """
INSERT INTO django_jobs_batchcountdelta (batch_id, total, succeeded, dead, cancelled) VALUES {rows}
"""


class LockedBatch(NamedTuple):
    """A batch while its row is locked."""

    state: str
    outcome: str
    description: str
    is_closed: bool
    is_cancelled: bool
    counts: Counts


class BatchStatements:
    """Lock a batch, add members and changes to its counts."""

    def __init__(self, *, share_lock: str) -> None:
        self._lock = LOCK_BATCH.format(share_lock=share_lock)

    def lock(self, connection: BaseDatabaseWrapper, batch_id: int) -> LockedBatch | None:
        """Lock a batch against its completion, in share mode: others may add jobs too. None if it is deleted."""
        with connection.cursor() as cursor:
            cursor.execute(self._lock, [batch_id])
            row = cursor.fetchone()
        if row is None:
            return None
        state, outcome, description, is_closed, is_cancelled = row[:5]
        return LockedBatch(state, outcome, description, bool(is_closed), bool(is_cancelled), Counts(*row[5:]))

    def read_batches_of(self, connection: BaseDatabaseWrapper, job_ids: Sequence[int]) -> list[tuple[int, int]]:
        """Return (batch, job) for those of the jobs that are in a batch."""
        if not job_ids:
            return []
        with connection.cursor() as cursor:
            cursor.execute(BATCHES_OF.format(ids=id_list(job_ids)))
            return [(batch_id, job_id) for batch_id, job_id in cursor.fetchall()]

    def insert_members(self, connection: BaseDatabaseWrapper, batch_id: int, job_ids: Sequence[int]) -> None:
        """Add jobs, just inserted in this transaction, to a batch."""
        insert_rows(connection, INSERT_MEMBERS, [f"({job_id:d},{batch_id:d})" for job_id in job_ids])

    def insert_count_deltas(self, connection: BaseDatabaseWrapper, changes: Iterable[tuple[int, Counts]]) -> None:
        """Insert changes to the counts of batches."""
        rows = [f"({batch_id:d},{','.join(f'{number:d}' for number in counts)})" for batch_id, counts in changes]
        insert_rows(connection, INSERT_COUNT_DELTAS, rows)
