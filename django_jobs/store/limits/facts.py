"""Read why a limit does not admit a job: a few bounded statements over the index of waiting permits."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Count, Min, Q, QuerySet

from ...models import Job, Limit, Permit
from ...policy.limits import LimitKind, LimitRule, LimitState, PermitPhase
from ...policy.states import State
from ...policy.why_not_running import MAX_COUNTED, HolderFacts, LimitFacts

SHOWN_HOLDERS = 5


def limit_facts(job_id: int, *, now: datetime, using: str) -> LimitFacts | None:
    """Return the limit at which a job waits; None if it waits at none, or no worker has inserted the limit yet.

    At most six statements, each of which reads at most 10,001 entries.
    """
    waiting = Permit.objects.using(using).filter(job=job_id, run=0, phase=PermitPhase.WAITING)
    permit = waiting.select_related("limit").order_by("kind").first()
    if permit is None:
        return None
    limit = permit.limit
    rule = LimitRule.from_json(limit.rule)
    used, free_at = usage(limit.pk, now=now, using=using)
    return LimitFacts(
        name=limit.name,
        key=limit.key,
        rule=rule,
        state=state_of(limit),
        used=used,
        free_at=free_at,
        holders=_holders(limit.pk, rule.kind, using),
        ahead=_count_ahead(permit, using),
    )


def state_of(limit: Limit) -> LimitState:
    """Return whether a limit is closed or tripped; without the count of a breaker's failures."""
    closed_until = None if limit.closed_until is None else limit.closed_until.timestamp()
    return LimitState(closed_until=closed_until, tripped=limit.is_tripped)


def usage(limit_id: int, *, now: datetime, using: str) -> tuple[int, datetime | None]:
    """Return the number of used permits, up to one more than MAX_COUNTED, and when the first has cooled, if known."""
    held = Q(phase=PermitPhase.HELD) | Q(phase=PermitPhase.COOLING, free_at__gt=now)
    given = Permit.objects.using(using).filter(held, limit=limit_id, phase__in=[PermitPhase.HELD, PermitPhase.COOLING])
    found = given.order_by().values("phase", "free_at")[: MAX_COUNTED + 1]
    counted = found.aggregate(used=Count("phase"), free_at=Min("free_at"))
    return counted["used"], counted["free_at"] if counted["used"] <= MAX_COUNTED else None


def _holders(limit_id: int, kind: LimitKind, using: str) -> tuple[HolderFacts, ...]:
    held = Permit.objects.using(using).filter(limit=limit_id, phase=PermitPhase.HELD)
    ids = list(held.order_by("urgency", "job").values_list("job_id", flat=True)[:SHOWN_HOLDERS])
    if kind is not LimitKind.ORDER:
        return tuple(HolderFacts(job_id=job_id) for job_id in ids)
    rows = Job.objects.using(using).filter(pk__in=ids).values_list("pk", "state", "run_after")
    return tuple(HolderFacts(job_id=pk, state=State(state), run_after=due) for pk, state, due in rows)


def _count_ahead(permit: Permit, using: str) -> int:
    """Count the jobs admitted before this one, up to 10,001; each part is one range of the index."""
    queue = Permit.objects.using(using).filter(limit=permit.limit_id, phase=PermitPhase.WAITING)
    more_urgent = _count(queue.filter(urgency__lt=permit.urgency), limit=MAX_COUNTED + 1)
    if more_urgent > MAX_COUNTED:
        return more_urgent
    earlier = queue.filter(urgency=permit.urgency, job__lt=permit.job_id)
    return more_urgent + _count(earlier, limit=MAX_COUNTED + 1 - more_urgent)


def _count(permits: QuerySet[Permit], *, limit: int) -> int:
    return permits.order_by().values("phase")[:limit].count()
