"""Read how fast groups of dead letters grow now and how fast they did in the week before."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime
from typing import Any

from django.db.models import Max, Q, Sum

from ...models import DeadLetterHour
from ...policy.group_states import COMPARED_DAYS, HOURS_PER_DAY, DeathRates
from ...policy.rollup import span_start
from .group_reads import HOUR, Tail

NO_DEATHS = DeathRates()


def read_death_rates(fingerprints: Collection[str], tail: Tail) -> dict[str, DeathRates]:
    """Return the rates of these groups, the tail added. One statement, none for no group."""
    if not fingerprints:
        return {}
    first_hour = span_start(tail.now.timestamp(), int(HOUR.total_seconds()))
    rows = (
        DeadLetterHour.objects.using(tail.alias)
        .filter(fingerprint__in=fingerprints, starts_at__gt=_day_start(first_hour, COMPARED_DAYS))
        .values("fingerprint")
        .order_by()
        .annotate(
            hour=Sum("number", filter=Q(starts_at__gte=first_hour), default=0),
            last_hour=Sum("number", filter=Q(starts_at=first_hour - HOUR), default=0),
            hour_before=Max("number", filter=Q(starts_at__lt=first_hour - HOUR), default=0),
            **{f"day_{at}": _deaths_of_day(first_hour, at) for at in range(COMPARED_DAYS)},
        )
    )
    counted: dict[str, Any] = {row["fingerprint"]: row for row in rows}
    died: defaultdict[str, list[datetime]] = defaultdict(list)
    for dead_letter in tail.dead_letters:
        died[dead_letter.fingerprint].append(dead_letter.died_at)
    return {
        fingerprint: _rates(counted.get(fingerprint, {}), died[fingerprint], first_hour) for fingerprint in fingerprints
    }


def _day_start(first_hour: datetime, at: int) -> datetime:
    """Return the hour after which the day ``at`` days ago began: days end with the current hour."""
    return first_hour - at * HOURS_PER_DAY * HOUR


def _deaths_of_day(first_hour: datetime, at: int) -> Sum:
    within = Q(starts_at__gt=_day_start(first_hour, at + 1))
    if at:
        within &= Q(starts_at__lte=_day_start(first_hour, at))
    return Sum("number", filter=within, default=0)


def _rates(row: dict[str, Any], died: Collection[datetime], first_hour: datetime) -> DeathRates:
    this_hour = row.get("hour", 0) + sum(at >= first_hour for at in died)
    last_hour = row.get("last_hour", 0) + sum(first_hour - HOUR <= at < first_hour for at in died)
    return DeathRates(
        hour=max(this_hour, last_hour),
        hour_before=row.get("hour_before", 0),
        day=row.get("day_0", 0) + sum(at >= _day_start(first_hour, 1) + HOUR for at in died),
        day_before=max(row.get(f"day_{at}", 0) for at in range(1, COMPARED_DAYS)),
    )
