"""Read the totals of job types over a period, and over the same period before; at most three statements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from django.db.models import OuterRef, Q, Subquery

from ...models import Attempt, RollupPosition, TypeRollup
from ...policy.rollup import span_start
from ...policy.type_rollup import StoredTotals, SummedTotals
from ..clock import database_now
from ..dialects import open_dialect

TYPE_PERIODS = {timedelta(hours=1): 600, timedelta(hours=24): 3600, timedelta(days=7): 86_400}
"""Periods, with the seconds of a column in each."""
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeFigures:
    """A type in the period and before. ``spans``: what was added up for the period, each with the start of its column.

    The figures of a column are added up when they are asked for: a list shows a page of its types.
    """

    name: str
    now: SummedTotals = field(default_factory=SummedTotals)
    before: SummedTotals = field(default_factory=SummedTotals)
    spans: list[tuple[datetime, StoredTotals]] = field(default_factory=list)

    def columns(self, starts: Iterable[datetime]) -> list[SummedTotals]:
        """Return the totals of the columns that begin then."""
        columns = {start: SummedTotals() for start in starts}
        for start, stored in self.spans:
            if start in columns:
                columns[start].add(stored)
        return list(columns.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeTable:
    """All types that ran in the period. ``starts`` are those of the columns. ``rolled_up_until``: see the dashboard."""

    starts: tuple[datetime, ...]
    column_seconds: int
    types: tuple[TypeFigures, ...]
    rolled_up_until: datetime | None


def read_types(period: timedelta, *, name: str | None = None, using: str | None = None) -> TypeTable:
    """Read the types of a period of ``TYPE_PERIODS``, up to now; only one of them if ``name`` is given.

    An hour is compared with the whole hours of the day before in which it lies, a day with the day before, a week with
    the week before. Days are those of UTC.
    """
    _, connection = open_dialect(using)
    seconds = TYPE_PERIODS[period]
    now = database_now(using=connection.alias)
    starts = _starts(now, period, seconds)
    since, until = _before(now, period, starts[0])
    rows = TypeRollup.objects.using(connection.alias).filter(
        Q(starts_at__gte=starts[0]) | Q(starts_at__gte=since, starts_at__lt=until)
    )
    found: dict[str, TypeFigures] = {}
    before: dict[str, SummedTotals] = {}
    for starts_at, types in rows.values_list("starts_at", "types"):
        if starts_at < starts[0]:
            for type_name, stored in _chosen(types, name):
                if type_name not in before:
                    before[type_name] = SummedTotals()
                before[type_name].add(stored)
            continue
        column = span_start(starts_at.timestamp(), seconds)
        for type_name, stored in _chosen(types, name):
            figures = found.get(type_name)
            if figures is None:
                figures = found[type_name] = TypeFigures(name=type_name)
            figures.now.add(stored)
            figures.spans.append((column, stored))
    return TypeTable(
        starts=starts,
        column_seconds=seconds,
        types=tuple(replace(figures, before=before.get(figures.name, figures.before)) for figures in found.values()),
        rolled_up_until=_rolled_up_until(now, connection.alias),
    )


def _rolled_up_until(now: datetime, alias: str) -> datetime | None:
    uncounted = Attempt.objects.using(alias).filter(pk__gt=OuterRef("done_id")).order_by("pk")
    positions = RollupPosition.objects.using(alias).filter(pk=RollupPosition.Source.ATTEMPTS, seen_at__isnull=False)
    position = positions.annotate(uncounted_at=Subquery(uncounted.values("finished_at")[:1])).first()
    return None if position is None else position.uncounted_at or now


def _starts(now: datetime, period: timedelta, seconds: int) -> tuple[datetime, ...]:
    last = span_start(now.timestamp(), seconds)
    number = period // timedelta(seconds=seconds)
    return tuple(last - timedelta(seconds=seconds) * index for index in reversed(range(number)))


def _before(now: datetime, period: timedelta, first: datetime) -> tuple[datetime, datetime]:
    if period > HOUR:
        return first - period, first
    hour = span_start((first - DAY).timestamp(), 3600)
    return hour, span_start((now - DAY).timestamp(), 3600) + HOUR


def _chosen(types: Mapping[str, StoredTotals], name: str | None) -> Iterable[tuple[str, StoredTotals]]:
    if name is None:
        return types.items()
    return [(name, types[name])] if name in types else []
