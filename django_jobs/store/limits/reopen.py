"""Reopen a limit that a circuit breaker or ``RateLimited`` has closed."""

from __future__ import annotations

from django.db.models import Q

from ...models import Limit, Permit
from ...policy.limits import PermitPhase
from ..clock import DatabaseNow
from ..dialects import open_dialect
from ..notify import notify_on_commit


def reopen_limit(limit_id: int, *, using: str | None = None) -> bool:
    """Open a closed limit and reset its breaker's failures; return False if it was not closed.

    It admits as many jobs as usual: earlier runs still count against a rate. One guarded statement, which waits for a
    worker that holds the limit's row.
    """
    _, connection = open_dialect(using)
    closed = Q(closed_until__gt=DatabaseNow()) | Q(is_tripped=True)
    limits = Limit.objects.using(connection.alias).filter(closed, pk=limit_id)
    changed = limits.update(closed_at=None, closed_until=None, is_tripped=False, failures=[], check_at=DatabaseNow())
    if changed:
        waiting = Permit.objects.using(connection.alias).filter(limit=limit_id, phase=PermitPhase.WAITING)
        first = waiting.order_by("urgency", "job").values_list("job__queue_name", flat=True)[:1]
        notify_on_commit(first, using=connection.alias)
    return bool(changed)
