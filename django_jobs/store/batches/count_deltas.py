"""Tally: what ends, begins again or is added in batches is noted in rows of its own, in the same transaction.

Nobody writes to the batch's row for it, so that any number may end at once. Once the transaction has committed,
the batches are looked at (``apply_deltas``): whoever commits last sees everybody's tallies, and ends the batch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from django.db import transaction

from ...policy.batches import Counts
from ...policy.states import State
from ..dialects import open_dialect
from .apply_deltas import apply_deltas

_CHANGES = {
    State.SUCCEEDED: Counts(succeeded=1),
    State.DEAD: Counts(dead=1),
    State.CANCELLED: Counts(cancelled=1),
}


def record_finished_jobs(states: Mapping[int, State], *, using: str) -> None:
    """Note that jobs, by id, ended in these states; those that did not end, or are in no batch, are passed over."""
    _insert_deltas({job_id: _CHANGES[state] for job_id, state in states.items() if state in _CHANGES}, using)


def record_redriven_jobs(job_ids: Sequence[int], *, using: str) -> None:
    """Note that dead jobs are none any more."""
    _insert_deltas(dict.fromkeys(job_ids, Counts(dead=-1)), using)


def record_added_jobs(batch_id: int, job_ids: Sequence[int], *, using: str) -> None:
    """Put jobs that were just inserted into a batch, whose row the caller holds."""
    dialect, connection = open_dialect(using)
    dialect.batches.insert_members(connection, batch_id, job_ids)
    record_count_delta(batch_id, Counts(total=len(job_ids)), using=using)


def record_count_delta(batch_id: int, change: Counts, *, using: str) -> None:
    """Note a change of one batch's counts; none of them: that it is to be looked at."""
    dialect, connection = open_dialect(using)
    dialect.batches.insert_count_deltas(connection, [(batch_id, change)])
    apply_deltas_on_commit([batch_id], using=using)


def apply_deltas_on_commit(batch_ids: Iterable[int], *, using: str) -> None:
    """Look at batches once the caller's transaction has committed; at once where there is none."""
    transaction.on_commit(partial(apply_deltas, sorted(batch_ids), using=using), using=using, robust=True)


def _insert_deltas(changes: Mapping[int, Counts], alias: str) -> None:
    """Insert one tally a batch; the pairs are counted first, since most of a thousand are alike."""
    dialect, connection = open_dialect(alias)
    numbers = Counter(
        (batch_id, changes[job_id])
        for batch_id, job_id in dialect.batches.read_batches_of(connection, sorted(changes))
    )
    sums: dict[int, Counts] = {}
    for (batch_id, change), number in numbers.items():
        many = Counts(*(part * number for part in change))
        sums[batch_id] = sums.get(batch_id, Counts()).plus(many)
    if sums:
        dialect.batches.insert_count_deltas(connection, sums.items())
        apply_deltas_on_commit(sums, using=alias)
