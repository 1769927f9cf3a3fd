"""Clamp instants of limits and permits that the database's clock, set back, has left too far ahead of it."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Q, TextField
from django.db.models.functions import Cast

from ...models import Limit, Permit
from ...policy.clock_steps import TOLERANCE, clamped, clamped_closing
from ...policy.limits import LimitRule, LimitState, PermitPhase
from ..clock import DatabaseNow
from ..dialects import open_dialect
from ..dialects.base.jobs import from_epoch
from ..dialects.shared.by_id import InIds
from .open_limits import lock_limits, read_limits, write_state

WINDOW = 2_000
_FIRST = -(2**63)


def clamp_cooling_permits(*, after: int, dry: bool = False, using: str | None = None) -> tuple[int, int | None]:
    """Have uses under rate limits of the next jobs behind ``after`` cool no longer than their windows from now on."""
    dialect, connection = open_dialect(using)
    alias = connection.alias
    permits = Permit.objects.using(alias)
    behind = permits.filter(job_id__gt=after).order_by("job_id")
    last = behind.values_list("job_id", flat=True)[WINDOW - 1 : WINDOW].first()
    cooling = behind.filter(phase=PermitPhase.COOLING, free_at__gt=DatabaseNow(TOLERANCE))
    cooling = cooling if last is None else cooling.filter(job_id__lte=last)
    rows = list(cooling.values("job_id", "limit_id", "run", "free_at"))
    rules = _rules({row["limit_id"] for row in rows}, alias) if rows else {}
    now = dialect.now(connection)
    changed = 0
    for row in rows:
        rule = rules.get(row["limit_id"])
        span = timedelta(seconds=rule.window_seconds) if rule else timedelta(0)
        free_at = row["free_at"] or now
        until = clamped(free_at, now=now, span=span)
        if until != free_at:
            changed += 1
            if not dry:
                permits.filter(**row).update(free_at=until)
    return changed, last


def clamp_limits(*, after: int | None, dry: bool = False, using: str | None = None) -> tuple[int, int | None]:
    """Have the next limits behind ``after`` (None: from the first) be closed no longer than they were to be.

    Failures of a breaker count from now on; a check is due at once if it was too far ahead.
    """
    dialect, connection = open_dialect(using)
    alias = connection.alias
    behind = Limit.objects.using(alias).filter(pk__gt=_FIRST if after is None else after).order_by("pk")
    last = behind.values_list("pk", flat=True)[WINDOW - 1 : WINDOW].first()
    soon = DatabaseNow(TOLERANCE)
    ahead = behind.filter(Q(check_at__gt=soon) | Q(closed_until__gt=soon) | ~Q(failures=[]))
    ids = list((ahead if last is None else ahead.filter(pk__lte=last)).values_list("pk", flat=True))
    if not ids:
        return 0, last
    if dry:
        return _clamp(ids, dialect.now(connection), dry=True, using=alias), last
    with dialect.write_transaction(connection):
        return _clamp(ids, dialect.now(connection), dry=False, using=alias), last


def _clamp(ids: list[int], now: datetime, *, dry: bool, using: str) -> int:
    limits = Limit.objects.using(using)
    rows = read_limits(ids, using=using) if dry else lock_limits(ids, using=using, wait=False)
    closed_at = dict(limits.filter(InIds("pk", ids)).values_list("pk", "closed_at"))
    changed = 0
    for limit in rows:
        span = timedelta(seconds=limit.rule.open_seconds) if limit.rule.open_seconds else None
        at, until = closed_at.get(limit.id), limit.state.closed_until
        closed_until = clamped_closing(from_epoch(until), at, now=now, span=span) if until else None
        failures = tuple(min(failed, now.timestamp()) for failed in limit.state.failures)
        state = LimitState(closed_until.timestamp() if closed_until else None, limit.state.tripped, failures)
        longest = max(now + timedelta(seconds=limit.rule.window_seconds), closed_until or now)
        is_far = limit.check_at is not None and limit.check_at > longest + TOLERANCE
        if state == limit.state and not is_far:
            continue
        changed += 1
        if not dry:
            write_state(limit, state, using=using)
            if limit.check_at is not None:
                limits.filter(pk=limit.id).update(check_at=DatabaseNow())
    return changed


def _rules(limit_ids: set[int], alias: str) -> dict[int, LimitRule]:
    rows = Limit.objects.using(alias).filter(InIds("pk", limit_ids)).values_list("pk", Cast("rule", TextField()))
    return {pk: LimitRule.from_text(text) for pk, text in rows}
