"""Release: blocked jobs whose predecessors have all succeeded become ready, or go on to their limits."""

from __future__ import annotations

from collections.abc import Sequence

from ...models import Job
from ...policy.states import State
from ..limits.permits import make_ready
from ..notify import notify_on_commit


def release(ids: Sequence[int], *, using: str) -> int:
    """Let go those of the jobs that are blocked and return how many were. In the caller's transaction.

    The caller holds their rows and has seen that none of them waits for another job any more. A job that needs
    permits of limits waits at the first of these next.
    """
    blocked = Job.objects.using(using).filter(pk__in=ids, state=State.BLOCKED)
    rows = list(blocked.order_by("pk").values_list("pk", "queue_name"))
    make_ready([pk for pk, _ in rows], using=using)
    notify_on_commit(sorted({queue for _, queue in rows}), using=using)
    return len(rows)
