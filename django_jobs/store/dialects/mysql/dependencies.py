"""Dependencies on MySQL and MariaDB."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.backends.base.base import BaseDatabaseWrapper

from ..base.dependencies import DependencyStatements


class MySQLDependencies(DependencyStatements):
    """Statements about dependencies on MySQL and MariaDB."""

    # By the index of predecessors, whatever the optimizer prefers: MariaDB would walk the index of unmet edges, and
    # wait for any transaction that has locked one of them.
    index_hint = "FORCE INDEX (django_jobs_dep_predecessor)"
    # MySQL refuses more than 1,000 rounds without it.
    recursion_hint = "/*+ SET_VAR(cte_max_recursion_depth = 1000000) */"

    def read_successors(
        self, connection: BaseDatabaseWrapper, job_ids: Sequence[int], *, on_dead_cancel_only: bool
    ) -> set[int]:
        """Repeat from the jobs found last until none is new: MariaDB ends a recursion after 1,000 rounds silently."""
        found: set[int] = set()
        frontier: Sequence[int] = job_ids
        while frontier:
            reached = self._read_dependents(connection, frontier, on_dead_cancel_only=on_dead_cancel_only) - found
            found |= reached
            frontier, on_dead_cancel_only = sorted(reached), False
        return found
