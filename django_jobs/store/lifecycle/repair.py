"""Sweep: see to what batches and graphs need, and a process that died left undone. Bounded; for maintenance."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from ...policy.states import State
from ..batches.apply_deltas import sum_up_pending
from ..batches.batch import close_abandoned
from ..dependencies.successors import Place, meet, overlooked
from ..dialects import open_dialect
from .after_finish import cancel_successors

BATCHES_A_ROUND = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What a round found, and where the next one goes on.

    ``followed`` counts ended jobs of which what waits for them had not heard, ``abandoned`` are batches that were
    never closed.
    """

    followed: int = 0
    abandoned: tuple[int, ...] = ()
    edges_after: Place = (0, 0)
    batches_after: int = 0


def sweep(before: Swept, *, abandoned_after: timedelta, using: str | None = None) -> Swept:
    """Do one round. Three small statements where there are no batches and no graphs."""
    _, connection = open_dialect(using)
    alias = connection.alias
    looked_at = sum_up_pending(limit=BATCHES_A_ROUND, after=before.batches_after, using=alias)
    abandoned = close_abandoned(after=abandoned_after, using=alias)
    followed, edges_after = _follow_overlooked(before.edges_after, alias)
    return Swept(
        followed=followed,
        abandoned=tuple(abandoned),
        edges_after=edges_after or (0, 0),
        batches_after=looked_at[-1] if len(looked_at) == BATCHES_A_ROUND else 0,
    )


def _follow_overlooked(after: Place, alias: str) -> tuple[int, Place | None]:
    dialect, connection = open_dialect(alias)
    found, go_on = overlooked(after=after, using=alias)
    if not found:
        return 0, go_on
    with dialect.writing(connection):
        meet(found.get(State.SUCCEEDED, []), using=alias)
        cancel_successors(
            dead=found.get(State.DEAD, []),
            cancelled=found.get(State.CANCELLED, []) + found.get(None, []),
            using=alias,
        )
    return sum(map(len, found.values())), go_on
