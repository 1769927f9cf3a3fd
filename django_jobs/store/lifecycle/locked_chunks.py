"""Change the jobs of an operation in bounded transactions, with their rows locked."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ...policy.states import APPLICABLE_STATES
from ..dialects import open_dialect
from ..selection import Target, alias_of, job_ids_in_chunks, lock_jobs
from ..transactions import retry_on_conflict

Change = Callable[[list[int], str], int]
"""``(ids, alias)``: changes these jobs, which are locked, and returns how many it changed."""


def change_locked(target: Target, verb: str, change: Change, *, using: str | None = None) -> int:
    """Call ``change`` with the target's jobs in a state to which ``verb`` applies; return the sum of its numbers.

    One transaction per 1,000 jobs, repeated after a conflict.
    """
    _, connection = open_dialect(alias_of(target, using))
    alias = connection.alias
    return sum(
        retry_on_conflict(partial(_change, ids, verb, change, alias), using=alias)
        for ids in job_ids_in_chunks(target, states=APPLICABLE_STATES[verb], using=alias)
    )


def _change(ids: list[int], verb: str, change: Change, alias: str) -> int:
    dialect, connection = open_dialect(alias)
    with dialect.write_transaction(connection):
        return change(lock_jobs(ids, states=APPLICABLE_STATES[verb], using=alias), alias)
