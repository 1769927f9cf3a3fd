"""Statements about batches and dependencies that are the same on every database, but for how a share lock is asked for.

Ids are written out as digits: adapting a list of a thousand takes Python five times as long.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ....policy.batches import Counts

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

ROWS_PER_STATEMENT = 5_000
SHARE_LOCKS = {"postgresql": "FOR SHARE", "mysql": "LOCK IN SHARE MODE", "sqlite": ""}
"""Whoever adds to a batch shares its row with others that do, and keeps it from ending meanwhile."""

LOCK_BATCH = """
SELECT state, outcome, description, closed_at IS NOT NULL, cancelled_at IS NOT NULL, total, succeeded, dead, cancelled
FROM django_jobs_batch WHERE id = %s {share}
"""

BATCHES_OF = "SELECT batch_id, job_id FROM django_jobs_batchjob WHERE job_id IN ({ids})"
INSERT_MEMBERS = "INSERT INTO django_jobs_batchjob (job_id, batch_id) VALUES {rows}"
INSERT_COUNT_DELTAS = """
INSERT INTO django_jobs_batchcountdelta (batch_id, total, succeeded, dead, cancelled) VALUES {rows}
"""

INSERT_DEPENDENCIES = """
INSERT INTO django_jobs_dependency (job_id, predecessor_id, position, on_dead, is_met) VALUES {rows}
"""

# By the index of predecessors, whatever the optimizer thinks: MariaDB would walk that of unmet edges, and wait for
# whoever has locked any of them.
MARK_MET = """
UPDATE django_jobs_dependency {index} SET is_met = TRUE WHERE predecessor_id IN ({ids}) AND NOT is_met
"""
WAITING_FOR = "SELECT DISTINCT job_id FROM django_jobs_dependency WHERE predecessor_id IN ({ids})"
FORCED_INDEX = "FORCE INDEX (django_jobs_dep_predecessor)"

# UNION, not UNION ALL: a job that is reached on many ways is walked from once. MariaDB ends the walk after 1,000
# rounds and says nothing, MySQL refuses unless it is told otherwise: the caller goes on from where it ended.
SUCCESSORS = """
WITH RECURSIVE successor (job_id) AS (
    SELECT job_id FROM django_jobs_dependency WHERE predecessor_id IN ({ids}) {only}
    UNION
    SELECT dependency.job_id FROM successor
    JOIN django_jobs_dependency AS dependency ON dependency.predecessor_id = successor.job_id
)
SELECT {hint} job_id FROM successor
"""
MYSQL_HINT = "/*+ SET_VAR(cte_max_recursion_depth = 1000000) */"


class LockedBatch(NamedTuple):
    """A batch as it is while its row is held."""

    state: str
    outcome: str
    description: str
    is_closed: bool
    is_cancelled: bool
    counts: Counts


def lock_batch(connection: BaseDatabaseWrapper, batch_id: int) -> LockedBatch | None:
    """Lock a batch against its end, not against others that hold it so; None where it is gone."""
    with connection.cursor() as cursor:
        cursor.execute(LOCK_BATCH.format(share=SHARE_LOCKS[connection.vendor]), [batch_id])
        row = cursor.fetchone()
    if row is None:
        return None
    state, outcome, description, is_closed, is_cancelled = row[:5]
    return LockedBatch(state, outcome, description, bool(is_closed), bool(is_cancelled), Counts(*row[5:]))


def read_batches_of(connection: BaseDatabaseWrapper, job_ids: Sequence[int]) -> list[tuple[int, int]]:
    """Return (batch, job) for those of the jobs that are in one."""
    if not job_ids:
        return []
    with connection.cursor() as cursor:
        cursor.execute(BATCHES_OF.format(ids=_id_list(job_ids)))
        return [(batch_id, job_id) for batch_id, job_id in cursor.fetchall()]


def insert_members(connection: BaseDatabaseWrapper, batch_id: int, job_ids: Sequence[int]) -> None:
    """Put jobs, just inserted in this transaction, into a batch."""
    _insert(connection, INSERT_MEMBERS, [f"({job_id:d},{batch_id:d})" for job_id in job_ids])


def insert_count_deltas(connection: BaseDatabaseWrapper, changes: Iterable[tuple[int, Counts]]) -> None:
    """Insert changes to the counts of batches."""
    rows = [f"({batch_id:d},{','.join(f'{number:d}' for number in counts)})" for batch_id, counts in changes]
    _insert(connection, INSERT_COUNT_DELTAS, rows)


def insert_dependencies(
    connection: BaseDatabaseWrapper, edges: Iterable[tuple[int, int, int, bool, bool]]
) -> None:
    """Insert edges: job, predecessor, position, whether it is cancelled by a death, whether it is met already."""
    rows = [
        f"({job_id:d},{predecessor_id:d},{position:d},'{'cancel' if cancels else 'block'}',{_bool_literal(is_met)})"
        for job_id, predecessor_id, position, cancels, is_met in edges
    ]
    _insert(connection, INSERT_DEPENDENCIES, rows)


def mark_dependencies_met(connection: BaseDatabaseWrapper, predecessors: Sequence[int]) -> list[int]:
    """Mark the edges to these jobs as met and return, in order, the jobs that wait or waited for them."""
    if not predecessors:
        return []
    ids = _id_list(predecessors)
    with connection.cursor() as cursor:
        cursor.execute(MARK_MET.format(ids=ids, index=FORCED_INDEX if connection.vendor == "mysql" else ""))
        cursor.execute(WAITING_FOR.format(ids=ids))
        return sorted(job_id for (job_id,) in cursor.fetchall())


def read_successors(
    connection: BaseDatabaseWrapper, job_ids: Sequence[int], *, on_dead_cancel_only: bool
) -> set[int]:
    """Return all jobs that wait for these, for those in turn, and so on.

    ``on_dead_cancel_only``: of those that wait for the given ones only those that a death cancels.
    """
    found: set[int] = set()
    only = "AND on_dead = 'cancel'" if on_dead_cancel_only else ""
    frontier: Sequence[int] = job_ids
    hint = MYSQL_HINT if connection.vendor == "mysql" else ""
    while frontier:
        with connection.cursor() as cursor:
            cursor.execute(SUCCESSORS.format(ids=_id_list(frontier), only=only, hint=hint))
            reached = {job_id for (job_id,) in cursor.fetchall()} - found
        found |= reached
        frontier, only = sorted(reached), ""
        if connection.vendor != "mysql":
            break
    return found


def _insert(connection: BaseDatabaseWrapper, statement: str, rows: Sequence[str]) -> None:
    with connection.cursor() as cursor:
        for start in range(0, len(rows), ROWS_PER_STATEMENT):
            cursor.execute(statement.format(rows=",".join(rows[start : start + ROWS_PER_STATEMENT])))


def _id_list(ids: Iterable[int]) -> str:
    return ",".join(f"{one:d}" for one in ids)


def _bool_literal(value: bool) -> str:
    return "TRUE" if value else "FALSE"
