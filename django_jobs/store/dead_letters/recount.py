"""Correct the numbers of open dead letters of the groups, after manual edits or raw deletes of dead letters."""

from __future__ import annotations

from django.db.models import Count, Q

from ...models import DeadLetter, DeadLetterGroup, RollupPosition
from ..dialects import open_dialect
from .group_counts import lock_groups

GROUPS_PER_CALL = 100


def recount_groups(*, after: str, using: str | None = None) -> tuple[int, str | None]:
    """Check the next 100 groups behind ``after``; return how many were wrong, and where to continue, None at the end.

    By the invariant of ``group_counts``: the rollup and the operations wait meanwhile for those groups that differ.
    """
    dialect, connection = open_dialect(using)
    alias = connection.alias
    groups = DeadLetterGroup.objects.using(alias).filter(pk__gt=after).order_by("pk")
    counted = dict(groups.values_list("pk", "open")[:GROUPS_PER_CALL])
    right = _count(list(counted), alias)
    differing = [fingerprint for fingerprint, number in counted.items() if right[fingerprint] != number]
    corrected = 0
    if differing:
        with dialect.write_transaction(connection):
            _lock_position(alias)
            locked = lock_groups(differing, using=alias)
            right = _count(differing, alias)
            for fingerprint, group in locked.items():
                if group.open != right[fingerprint]:
                    DeadLetterGroup.objects.using(alias).filter(pk=fingerprint).update(open=right[fingerprint])
                    corrected += 1
    return corrected, list(counted)[-1] if len(counted) == GROUPS_PER_CALL else None


def _lock_position(alias: str) -> None:
    position = RollupPosition.objects.using(alias).filter(pk=RollupPosition.Source.DEAD_LETTERS)
    list(position.select_for_update())


def _count(fingerprints: list[str], alias: str) -> dict[str, int]:
    """Count the open dead letters less those that are not rolled up yet, in one statement."""
    position = RollupPosition.objects.using(alias).filter(pk=RollupPosition.Source.DEAD_LETTERS)
    done_id = position.values_list("done_id", flat=True).first() or 0
    letters = DeadLetter.objects.using(alias).filter(status__in=DeadLetter.Status.values, fingerprint__in=fingerprints)
    counted = (
        letters.order_by()
        .values("fingerprint")
        .annotate(number=Count("pk", filter=Q(status=DeadLetter.Status.OPEN)) - Count("pk", filter=Q(pk__gt=done_id)))
    )
    return dict.fromkeys(fingerprints, 0) | dict(counted.values_list("fingerprint", "number"))
