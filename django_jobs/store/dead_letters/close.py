"""Close, reopen and delete dead letters, in the transactions of redrive, purge, resolve and prune."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from ...models import DeadLetter, RollupPosition
from ...models.base import MAX_ACTOR_LENGTH, MAX_NOTE_LENGTH
from ..clock import DatabaseNow
from ..dialects.shared.by_id import InIds, delete_rows
from .group_counts import count_closed


def dead_letter_ids_of(job_ids: Collection[int], *, using: str) -> list[int]:
    """Return the ids of all dead letters of these jobs, without locks."""
    dead_letters = DeadLetter.objects.using(using).filter(InIds("job_id", job_ids, index=None))
    return list(dead_letters.values_list("pk", flat=True))


def close_dead_letters(
    ids: Collection[int], status: DeadLetter.Status, *, by: str, note: str | None = None, using: str
) -> int:
    """Close the open ones of these dead letters and return how many; locks them and their groups."""
    if not ids:
        return 0
    dead_letters = DeadLetter.objects.using(using)
    is_open = {
        pk: fingerprint for pk, before, fingerprint in _locked(ids, using=using) if before == DeadLetter.Status.OPEN
    }
    if not is_open:
        return 0
    changes = {} if note is None else {"note": note[:MAX_NOTE_LENGTH]}
    dead_letters.filter(InIds("pk", is_open)).update(
        status=status, resolved_at=DatabaseNow(), resolved_by=by[:MAX_ACTOR_LENGTH], **changes
    )
    count_closed(Counter(is_open.values()), using=using)
    return len(is_open)


def reopen_dead_letters(ids: Collection[int], *, using: str) -> int:
    """Open the resolved ones of these dead letters again and return how many; locks them and their groups.

    The caller has locked their jobs and found them dead.
    """
    resolved = {
        pk: fingerprint for pk, status, fingerprint in _locked(ids, using=using) if status == DeadLetter.Status.RESOLVED
    }
    if resolved:
        DeadLetter.objects.using(using).filter(InIds("pk", resolved)).update(
            status=DeadLetter.Status.OPEN, resolved_at=None, resolved_by=""
        )
        count_closed({key: -number for key, number in Counter(resolved.values()).items()}, using=using)
    return len(resolved)


def delete_dead_letters(ids: Collection[int], *, using: str) -> int:
    """Delete dead letters and return how many; blocks their rollup until the transaction ends."""
    if not ids:
        return 0
    positions = RollupPosition.objects.using(using).select_for_update()
    position = positions.filter(pk=RollupPosition.Source.DEAD_LETTERS).first()
    rolled_up_to = position.done_id if position else 0
    closed: Counter[str] = Counter()
    locked = _locked(ids, using=using)
    for pk, status, fingerprint in locked:
        was_open, is_rolled_up = status == DeadLetter.Status.OPEN, pk <= rolled_up_to
        if was_open and is_rolled_up:
            closed[fingerprint] += 1
        elif not was_open and not is_rolled_up:
            closed[fingerprint] -= 1  # subtracted when it was closed; the rollup will never add it
    count_closed(closed, using=using)
    delete_rows(DeadLetter.objects.using(using).filter(InIds("pk", [pk for pk, _, _ in locked])))
    return len(locked)


def _locked(ids: Collection[int], *, using: str) -> list[tuple[int, str, str]]:
    """Lock dead letters by key alone, in its order (see ``selection.lock_jobs``)."""
    rows = DeadLetter.objects.using(using).filter(InIds("pk", ids)).select_for_update().order_by("pk")
    return list(rows.values_list("pk", "status", "fingerprint"))
