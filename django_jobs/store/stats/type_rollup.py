"""Store the totals of job types: add those of a fold, move old spans into longer ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...models import RollupPosition, TypeRollup
from ...policy.rollup import SpanTotals
from ...policy.type_rollup import TYPE_SPANS, TypeSpan, TypeTotals, add_types, longer_span, type_totals
from ..clock import database_now
from ..dialects import open_dialect

LOCKED = (RollupPosition.Source.ATTEMPTS, RollupPosition.Source.DEAD_LETTERS)
"""Positions whose lock makes a transaction the only one that writes totals."""
MAX_MOVED = 100
"""Spans that one transaction moves: each is read whole, up to some 200 kB."""


def add_to_types(spans: Mapping[TypeSpan, Mapping[str, SpanTotals] | Mapping[str, TypeTotals]], *, using: str) -> None:
    """Add to the rows of these spans, in the caller's transaction, which has locked the positions of the rollup."""
    for span, added in spans.items():
        row = TypeRollup.objects.using(using).filter(span_seconds=span.seconds, starts_at=span.starts_at).first()
        if row is None:
            row = TypeRollup(span_seconds=span.seconds, starts_at=span.starts_at, types={})
        row.types = add_types(row.types, added)
        row.save(using=using)


def move_old_types(*, using: str | None = None) -> int:
    """Move spans of a length that no page reads any more into longer ones, delete old days; return how many were."""
    _, connection = open_dialect(using)
    moved = 0
    for seconds in TYPE_SPANS:
        while number := _move(seconds, connection.alias):
            moved += number
    return moved


def _move(seconds: int, alias: str) -> int:
    dialect, connection = open_dialect(alias)
    old = TypeRollup.objects.using(alias).filter(
        span_seconds=seconds, starts_at__lt=database_now(using=alias) - TYPE_SPANS[seconds]
    )
    if not old.exists():
        return 0
    with dialect.write_transaction(connection):
        list(RollupPosition.objects.using(alias).filter(pk__in=LOCKED).select_for_update().order_by("pk"))
        rows = list(old.order_by("starts_at")[:MAX_MOVED])
        added: dict[TypeSpan, dict[str, TypeTotals]] = {}
        for row in rows:
            longer = longer_span(TypeSpan(seconds, row.starts_at))
            if longer is not None:
                _merge(added.setdefault(longer, {}), row.types)
        add_to_types(added, using=alias)
        TypeRollup.objects.using(alias).filter(pk__in=[row.pk for row in rows]).delete()
    return len(rows)


def _merge(types: dict[str, TypeTotals], stored: Mapping[str, Any]) -> None:
    for name, totals in stored.items():
        types.setdefault(name, TypeTotals()).merge(type_totals(totals))
