"""Do the updates of batches and graphs that a process left undone when it died. Bounded; called by maintenance."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from ...policy.states import State
from ..batches.apply_deltas import apply_pending_deltas
from ..batches.batch import close_abandoned_batches
from ..dependencies.successors import EdgePosition, find_missed_dependencies, release_dependents
from ..dialects import open_dialect
from .after_finish import cancel_dependents

BATCHES_PER_ROUND = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairResult:
    """Findings of one round, and where the next one continues.

    ``followed`` counts ended jobs whose dependents had not been updated, ``abandoned`` are the ids of batches that
    were never closed.
    """

    followed: int = 0
    abandoned: tuple[int, ...] = ()
    edges_after: EdgePosition = (0, 0)
    batches_after: int = 0


def repair(before: RepairResult, *, abandoned_after: timedelta, using: str | None = None) -> RepairResult:
    """Do one round. Three small statements if there are no batches and no graphs."""
    _, connection = open_dialect(using)
    alias = connection.alias
    checked = apply_pending_deltas(limit=BATCHES_PER_ROUND, after=before.batches_after, using=alias)
    abandoned = close_abandoned_batches(after=abandoned_after, using=alias)
    followed, edges_after = _repair_dependencies(before.edges_after, alias)
    return RepairResult(
        followed=followed,
        abandoned=tuple(abandoned),
        edges_after=edges_after or (0, 0),
        batches_after=checked[-1] if len(checked) == BATCHES_PER_ROUND else 0,
    )


def _repair_dependencies(after: EdgePosition, alias: str) -> tuple[int, EdgePosition | None]:
    dialect, connection = open_dialect(alias)
    found, next_position = find_missed_dependencies(after=after, using=alias)
    if not found:
        return 0, next_position
    with dialect.write_transaction(connection):
        release_dependents(found.get(State.SUCCEEDED, []), using=alias)
        cancel_dependents(
            dead=found.get(State.DEAD, []),
            cancelled=found.get(State.CANCELLED, []) + found.get(None, []),
            using=alias,
        )
    return sum(map(len, found.values())), next_position
