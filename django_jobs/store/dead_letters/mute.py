"""Mute groups of dead letters, unmute and annotate them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from django.db.models import QuerySet

from ...models import DeadLetterGroup
from ...models.base import MAX_ACTOR_LENGTH, MAX_NOTE_LENGTH
from ..clock import DatabaseNow
from ..dialects import open_dialect
from .group_counts import lock_groups


def mute(fingerprints: Iterable[str], *, by: str = "", using: str | None = None) -> int:
    """Exclude groups, by fingerprint, from mails and from the list of open ones; return how many were not muted."""
    with _locked(fingerprints, using) as groups:
        return groups.filter(muted_at=None).update(muted_at=DatabaseNow(), muted_by=by[:MAX_ACTOR_LENGTH])


def unmute(fingerprints: Iterable[str], *, using: str | None = None) -> int:
    """Undo ``mute``; return how many groups were muted."""
    with _locked(fingerprints, using) as groups:
        return groups.filter(muted_at__isnull=False).update(muted_at=None, muted_by="")


def set_group_note(fingerprint: str, *, note: str, by: str = "", using: str | None = None) -> bool:
    """Replace the note of a group; False if it has no dead letters."""
    with _locked([fingerprint], using) as groups:
        changed = groups.update(note=note[:MAX_NOTE_LENGTH], noted_at=DatabaseNow(), noted_by=by[:MAX_ACTOR_LENGTH])
    return bool(changed)


@contextmanager
def _locked(fingerprints: Iterable[str], using: str | None) -> Iterator[QuerySet[DeadLetterGroup]]:
    """Lock groups in a transaction, also those whose dead letters are not aggregated yet."""
    dialect, connection = open_dialect(using)
    with dialect.write_transaction(connection):
        locked = lock_groups(set(fingerprints), using=connection.alias)
        yield DeadLetterGroup.objects.using(connection.alias).filter(pk__in=list(locked))
