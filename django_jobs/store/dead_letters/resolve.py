"""Resolve: close dead letters that need no further action; their jobs stay dead, and let their ordering keys go on."""

from __future__ import annotations

from functools import partial

from ...models import DeadLetter, Permit
from ...models.base import MAX_NOTE_LENGTH
from ...policy.limits import LimitKind, PermitPhase
from ...policy.states import State
from ..dialects import open_dialect
from ..dialects.shared.by_id import InIds
from ..limits.permits import suspend_permits
from ..selection import DeadLetterTarget, alias_of, lock_jobs, open_dead_letter_ids_in_chunks
from ..transactions import retry_on_conflict
from .close import close_dead_letters


def resolve(target: DeadLetterTarget, *, by: str = "", note: str | None = None, using: str | None = None) -> int:
    """Close the target's open dead letters and return how many.

    ``target`` is a dead letter, its id, a queryset of them, or a ``Q``. ``by``, the time and the ``note`` are stored
    with each; without a note the old one stays. Closed ones are left alone. One transaction per 1,000 dead letters.
    """
    _, connection = open_dialect(alias_of(target, using))
    return sum(
        retry_on_conflict(partial(_resolve, ids, by, note, connection.alias), using=connection.alias)
        for ids in open_dead_letter_ids_in_chunks(target, using=connection.alias)
    )


def _resolve(ids: list[int], by: str, note: str | None, alias: str) -> int:
    dialect, connection = open_dialect(alias)
    with dialect.write_transaction(connection):
        _release_turns(ids, alias)
        return close_dead_letters(ids, DeadLetter.Status.RESOLVED, by=by, note=note, using=alias)


def _release_turns(ids: list[int], alias: str) -> None:
    """Let others have the turns that these dead letters' jobs keep (``Ordering(hold_when_dead=True)``).

    The jobs are locked before their dead letters, as by a redrive. One statement if there is none.
    """
    opened = DeadLetter.objects.using(alias).filter(InIds("pk", ids), status=DeadLetter.Status.OPEN)
    turns = Permit.objects.using(alias).filter(kind=LimitKind.ORDER, phase=PermitPhase.HELD, run=0)
    keeping = list(turns.filter(job__in=opened.values("job")).values_list("job_id", flat=True))
    if keeping:
        dead = lock_jobs(keeping, states={State.DEAD}, using=alias)
        suspend_permits(list(opened.filter(job__in=dead).values_list("job_id", flat=True)), using=alias)


def set_dead_letter_note(dead_letter_id: int, *, note: str, using: str | None = None) -> bool:
    """Write a note on one dead letter, whatever its status; False if it does not exist."""
    _, connection = open_dialect(using)
    dead_letters = DeadLetter.objects.using(connection.alias).filter(pk=dead_letter_id)
    return bool(dead_letters.update(note=note[:MAX_NOTE_LENGTH]))
