"""Resolve: close dead letters that need no further action; their jobs stay dead."""

from __future__ import annotations

from ...models import DeadLetter
from ...models.base import MAX_NOTE_LENGTH
from ..dialects import open_dialect
from ..selection import DeadLetterTarget, open_dead_letter_ids_in_chunks
from .close import close_dead_letters


def resolve(target: DeadLetterTarget, *, by: str = "", note: str | None = None, using: str | None = None) -> int:
    """Close the target's open dead letters and return how many.

    ``target`` is a dead letter, its id, a queryset of them, or a ``Q``. ``by``, the time and the ``note`` are stored
    with each; without a note the old one stays. Closed ones are left alone. One transaction per 1,000 dead letters.
    """
    dialect, connection = open_dialect(using)
    resolved = 0
    for ids in open_dead_letter_ids_in_chunks(target, using=connection.alias):
        with dialect.write_transaction(connection):
            resolved += close_dead_letters(ids, DeadLetter.Status.RESOLVED, by=by, note=note, using=connection.alias)
    return resolved


def set_dead_letter_note(dead_letter_id: int, *, note: str, using: str | None = None) -> bool:
    """Write a note on one dead letter, whatever its status; False if it does not exist."""
    _, connection = open_dialect(using)
    dead_letters = DeadLetter.objects.using(connection.alias).filter(pk=dead_letter_id)
    return bool(dead_letters.update(note=note[:MAX_NOTE_LENGTH]))
