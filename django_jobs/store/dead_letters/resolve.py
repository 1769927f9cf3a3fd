"""Resolve: staff close dead letters that need nothing more; their jobs stay dead."""

from __future__ import annotations

from ...models import DeadLetter
from ...models.base import MAX_NOTE_LENGTH
from ..dialects import open_dialect
from ..selection import DeadLetterTarget, open_dead_letter_ids_in_chunks
from .close import close_dead_letters


def resolve(
    target: DeadLetterTarget, *, by: str = "", note: str | None = None, using: str | None = None
) -> int:
    """Close the target's open letters and return how many were; who, when and a note are kept on each.

    A letter that somebody else has ended meanwhile is left alone. Without a ``note`` the letter keeps its own.
    One transaction for 1,000 letters.
    """
    dialect, connection = open_dialect(using)
    resolved = 0
    for ids in open_dead_letter_ids_in_chunks(target, using=connection.alias):
        with dialect.write_transaction(connection):
            resolved += close_dead_letters(
                ids, DeadLetter.Status.RESOLVED, by=by, note=note, using=connection.alias
            )
    return resolved


def set_dead_letter_note(letter_id: int, *, note: str, using: str | None = None) -> bool:
    """Write a note on one letter, whatever its status; False where it is gone."""
    _, connection = open_dialect(using)
    letters = DeadLetter.objects.using(connection.alias).filter(pk=letter_id)
    return bool(letters.update(note=note[:MAX_NOTE_LENGTH]))
