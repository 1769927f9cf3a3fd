"""Record count changes of batches as separate rows, in the transaction that finishes, redrives or adds jobs.

Nothing writes to the batch's row, so any number of jobs can finish at once. After the commit the batch is evaluated
(``apply_deltas``): the last one to commit sees all deltas and completes the batch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from ...policy.batches import Counts
from ...policy.states import State
from ..dialects import open_dialect
from ..transactions import after_commit
from .apply_deltas import apply_deltas

_CHANGES = {
    State.SUCCEEDED: Counts(succeeded=1),
    State.DEAD: Counts(dead=1),
    State.CANCELLED: Counts(cancelled=1),
}


def record_finished_jobs(states: Mapping[int, State], *, using: str) -> None:
    """Record the final states of jobs by id; jobs that have not ended or are in no batch are skipped."""
    _insert_deltas({job_id: _CHANGES[state] for job_id, state in states.items() if state in _CHANGES}, using)


def record_redriven_jobs(job_ids: Sequence[int], *, using: str) -> None:
    """Record that dead jobs are no longer dead."""
    _insert_deltas(dict.fromkeys(job_ids, Counts(dead=-1)), using)


def record_added_jobs(batch_id: int, job_ids: Sequence[int], *, using: str) -> None:
    """Add jobs that were just inserted to a batch whose row the caller has locked."""
    dialect, connection = open_dialect(using)
    dialect.batches.insert_members(connection, batch_id, job_ids)
    record_count_delta(batch_id, Counts(total=len(job_ids)), using=using)


def record_count_delta(batch_id: int, change: Counts, *, using: str) -> None:
    """Record a change of a batch's counts; zeros only schedule its evaluation."""
    dialect, connection = open_dialect(using)
    dialect.batches.insert_count_deltas(connection, [(batch_id, change)])
    apply_deltas_on_commit([batch_id], using=using)


def apply_deltas_on_commit(batch_ids: Iterable[int], *, using: str) -> None:
    """Evaluate batches once the caller's transaction has committed; at once if there is none."""
    after_commit(partial(apply_deltas, sorted(batch_ids), using=using), using=using)


def _insert_deltas(changes: Mapping[int, Counts], alias: str) -> None:
    """Insert one delta per batch; equal changes are counted first, since most of a thousand are equal."""
    dialect, connection = open_dialect(alias)
    numbers = Counter(
        (batch_id, changes[job_id]) for batch_id, job_id in dialect.batches.read_batches_of(connection, sorted(changes))
    )
    sums: dict[int, Counts] = {}
    for (batch_id, change), number in numbers.items():
        multiplied = Counts(*(part * number for part in change))
        sums[batch_id] = sums.get(batch_id, Counts()).plus(multiplied)
    if sums:
        dialect.batches.insert_count_deltas(connection, sums.items())
        apply_deltas_on_commit(sums, using=alias)
