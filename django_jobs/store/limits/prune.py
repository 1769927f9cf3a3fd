"""Prune limits: delete keys without permits or recent uses. A key that is used again is inserted again."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Exists, OuterRef

from ...models import Limit, Permit
from ...policy.limits import PermitPhase
from ..clock import DatabaseNow
from ..dialects import open_dialect
from ..dialects.shared.by_id import InIds, delete_rows

WINDOW = 1_000
STATE_RETENTION = timedelta(days=1)
"""How long a breaker's failures, and the end of a closed time, are kept."""


def prune_limits(*, using: str | None = None) -> int:
    """Delete cooled permits, then limits without any permit; return how many limits. 1,000 at a time.

    A limit that another transaction has locked stays until the next time.
    """
    dialect, connection = open_dialect(using)
    alias = connection.alias
    pruned, last = 0, -(2**63)
    while True:
        ids = list(Limit.objects.using(alias).filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:WINDOW])
        if ids:
            with dialect.write_transaction(connection):
                pruned += _prune(ids, alias)
        if len(ids) < WINDOW:
            return pruned
        last = ids[-1]


def _prune(ids: list[int], alias: str) -> int:
    cooled = Permit.objects.using(alias).filter(InIds("limit_id", ids, index=None), phase=PermitPhase.COOLING)
    delete_rows(cooled.filter(free_at__lte=DatabaseNow()))
    limits = Limit.objects.using(alias)
    permits = Permit.objects.using(alias).filter(limit=OuterRef("pk"))
    idle = limits.filter(pk__in=ids, is_tripped=False, failures=[]).exclude(Exists(permits))
    idle = idle.exclude(closed_until__gt=DatabaseNow(-STATE_RETENTION))
    locked = limits.filter(InIds("pk", idle.values_list("pk", flat=True)), check_at=None)
    ids = list(locked.select_for_update(skip_locked=True).values_list("pk", flat=True))
    # A job may have been admitted between the two statements; from here on none can be.
    gone = limits.filter(InIds("pk", ids)).exclude(Exists(permits)).values_list("pk", flat=True)
    return delete_rows(limits.filter(InIds("pk", list(gone))))
