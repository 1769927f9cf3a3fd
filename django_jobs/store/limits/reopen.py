"""Reopen: have a limit that was closed, by failures or by the called server's word, let jobs in at once."""

from __future__ import annotations

from django.db.models import Q

from ...models import Limit, Permit
from ...policy.limits import PermitPhase
from ..clock import DatabaseNow
from ..dialects import open_dialect
from ..notify import notify_on_commit


def reopen_limit(limit_id: int, *, using: str | None = None) -> bool:
    """Forget that a limit is closed and what a breaker has counted; False where it was not closed.

    One guarded statement, which waits for a worker that decides on the limit at this moment. How many it lets in
    is as ever: a rate's uses still count.
    """
    _, connection = open_dialect(using)
    closed = Q(closed_until__gt=DatabaseNow()) | Q(is_tripped=True)
    limits = Limit.objects.using(connection.alias).filter(closed, pk=limit_id)
    changed = limits.update(closed_until=None, is_tripped=False, failures=[], check_at=DatabaseNow())
    if changed:
        line = Permit.objects.using(connection.alias).filter(limit=limit_id, phase=PermitPhase.WAITING)
        first = line.order_by("urgency", "job").values_list("job__queue_name", flat=True)[:1]
        notify_on_commit(first, using=connection.alias)
    return bool(changed)
