"""Statements about dependencies between jobs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from django.db.backends.base.base import BaseDatabaseWrapper

from .sql_text import id_list, insert_rows

INSERT = """
INSERT INTO django_jobs_dependency (job_id, predecessor_id, position, on_dead, is_met) VALUES {rows}
"""
MARK_MET = """
UPDATE django_jobs_dependency {index_hint} SET is_met = TRUE WHERE predecessor_id IN ({ids}) AND NOT is_met
"""
WAITING_FOR = "SELECT DISTINCT job_id FROM django_jobs_dependency WHERE predecessor_id IN ({ids})"

# UNION, not UNION ALL: a job reached on several ways is followed once.
SUCCESSORS = """
WITH RECURSIVE successor (job_id) AS (
    SELECT job_id FROM django_jobs_dependency WHERE predecessor_id IN ({ids}) {condition}
    UNION
    SELECT dependency.job_id FROM successor
    JOIN django_jobs_dependency AS dependency ON dependency.predecessor_id = successor.job_id
)
SELECT {recursion_hint} job_id FROM successor
"""


class DependencyStatements:
    """Insert dependencies, mark them as met, and find the jobs that wait."""

    index_hint: ClassVar[str] = ""
    recursion_hint: ClassVar[str] = ""

    def insert(self, connection: BaseDatabaseWrapper, edges: Iterable[tuple[int, int, int, bool, bool]]) -> None:
        """Insert edges: job, predecessor, position, whether a dead predecessor cancels it, whether it is met."""
        rows = [
            f"({job_id:d},{predecessor_id:d},{position:d},'{'cancel' if cancels else 'block'}',"
            f"{'TRUE' if is_met else 'FALSE'})"
            for job_id, predecessor_id, position, cancels, is_met in edges
        ]
        insert_rows(connection, INSERT, rows)

    def mark_met(self, connection: BaseDatabaseWrapper, predecessors: Sequence[int]) -> list[int]:
        """Mark the edges to these jobs as met; return, in order, the jobs that wait or waited for them."""
        if not predecessors:
            return []
        ids = id_list(predecessors)
        with connection.cursor() as cursor:
            cursor.execute(MARK_MET.format(ids=ids, index_hint=self.index_hint))
            cursor.execute(WAITING_FOR.format(ids=ids))
            return sorted(job_id for (job_id,) in cursor.fetchall())

    def read_successors(
        self, connection: BaseDatabaseWrapper, job_ids: Sequence[int], *, on_dead_cancel_only: bool
    ) -> set[int]:
        """Return all jobs that wait for these, directly or not.

        ``on_dead_cancel_only``: of the direct ones, only those that a dead predecessor cancels.
        """
        return self._read_dependents(connection, job_ids, on_dead_cancel_only=on_dead_cancel_only) if job_ids else set()

    def _read_dependents(
        self, connection: BaseDatabaseWrapper, job_ids: Sequence[int], *, on_dead_cancel_only: bool
    ) -> set[int]:
        condition = "AND on_dead = 'cancel'" if on_dead_cancel_only else ""
        statement = SUCCESSORS.format(ids=id_list(job_ids), condition=condition, recursion_hint=self.recursion_hint)
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return {job_id for (job_id,) in cursor.fetchall()}
