"""Release blocked jobs whose predecessors have all succeeded: they become ready, or wait at their limits."""

from __future__ import annotations

from collections.abc import Sequence

from ...models import Job
from ...policy.states import State
from ..limits.permits import make_ready
from ..notify import notify_on_commit


def release(ids: Sequence[int], *, using: str) -> int:
    """Release those of the jobs that are blocked and return how many. In the caller's transaction.

    The caller has locked the rows and checked that no dependency of them is unmet. A job under limits waits at the
    first of them next.
    """
    blocked = Job.objects.using(using).filter(pk__in=ids, state=State.BLOCKED)
    rows = list(blocked.order_by("pk").values_list("pk", "queue_name"))
    make_ready([pk for pk, _ in rows], using=using)
    notify_on_commit(sorted({queue for _, queue in rows}), using=using)
    return len(rows)
