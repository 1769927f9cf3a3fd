"""Read rows in the order of an index, a page at a time, each page in bounded time.

::

    index   |---- previous page ----| after |---- scanned: up to ``scan`` entries ----| next_cursor |---- later ----
                                             rows that pass the narrower filter

Conditions that the index does not serve are put where the planner cannot estimate them (``hide_selectivity``).
Otherwise it reads the whole table when its statistics say that almost nothing matches.

A cursor is the last entry of a page as text for a URL: its columns as JSON, of one column the bare value.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from django.db.models import BooleanField, Case, DateTimeField, Model, Q, QuerySet, UUIDField, Value, When
from django.db.models.expressions import Combinable
from django.db.models.fields.tuple_lookups import (
    Tuple,
    TupleGreaterThan,
    TupleGreaterThanOrEqual,
    TupleLessThan,
    TupleLessThanOrEqual,
)

from ...policy.filter_values import MAX_YEAR, MIN_YEAR, FilterError, is_storable
from ...policy.messages import gettext_noop
from ..dialects import open_dialect

M = TypeVar("M", bound=Model)
R = TypeVar("R")

PAGE_SIZE = 50
SCAN_LIMIT = 20_000
"""Entries, or ids, that are scanned for one page."""

Narrow = Callable[[QuerySet[M]], QuerySet[M]]
"""Adds conditions that the index does not serve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysetPage(Generic[R]):
    """One page of rows.

    ``next_cursor`` is ``after`` of the next page, None at the end. ``lowest`` and ``highest`` are the ids between
    which the page was searched, 0 and 0 if it was read along another index. ``scanned`` is how many ids, or entries of
    the index, were looked at for a page that is not full, ``back_to`` when the oldest of them was enqueued, if known.
    """

    rows: list[R]
    next_cursor: str | None
    is_truncated: bool = False
    """The scan ended before the page was full: later rows may match, too."""
    lowest: int = 0
    highest: int = 0
    scanned: int = 0
    back_to: datetime | None = None


def read_keyset_page(
    rows: QuerySet[M],
    keys: Sequence[str],
    *,
    narrow: Narrow[M] | None,
    after: str,
    limit: int,
    scan: int,
    within: tuple[str, Any] | None = None,
) -> KeysetPage[M]:
    """Return up to ``limit`` rows behind the cursor ``after``; with ``narrow`` among the next ``scan`` entries only.

    ``keys`` are the index's columns, with ``-`` for descending order; the last is unique. ``within`` is a column before
    them in the index, and the only value of it that is read. At most two statements. Raises FilterError if ``after`` is
    not a cursor of these keys.
    """
    names = [key.removeprefix("-") for key in keys]
    rows = rows.order_by(*keys)
    start = decode_cursor(rows.model, keys, after)
    if within is not None:
        rows = _within(rows, keys, *within)
    if start is not None:
        rows = rows.filter(keyset_condition(keys, start, behind=True, within=within, using=rows.db))
    last_entry = None
    if narrow is not None:
        entries = list(rows.values_list(*names)[scan - 1 : scan])
        last_entry = entries[0] if entries else None
        if last_entry is not None:
            rows = rows.filter(keyset_condition(keys, last_entry, behind=False, within=within, using=rows.db))
        served = len(rows.query.where.children)
        rows = hide_selectivity(narrow(rows), served=served)
    found = list(rows[: limit + 1])
    if len(found) > limit:
        last_entry = tuple(getattr(found[limit - 1], name) for name in names)
    return keyset_page(found[:limit], last_entry, limit=limit, scanned=scan)


def hide_selectivity(rows: QuerySet[M], *, served: int = 0) -> QuerySet[M]:
    """Move the conditions of ``rows`` behind the first ``served`` into a CASE; the same rows are found.

    A planner expects half of the rows to pass a CASE. So it reads a page along the index that gives its order, and
    stops when the page is full. If it expects almost none to pass (a rare name, an unlucky sample of statistics), it
    prefers to read and sort the whole table, or another index that leads it through all of it.
    """
    where = rows.query.where
    hidden = where.create(where.children[served:], where.connector)
    if not hidden.children:
        return rows
    rows = rows.all()
    rows.query.where.children = where.children[:served]
    passes = Case(When(hidden, then=Value(True)), default=Value(False), output_field=BooleanField())
    return rows.filter(passes)


def keyset_page(
    rows: list[R],
    last_entry: tuple[Any, ...] | None,
    *,
    limit: int,
    lowest: int = 0,
    highest: int = 0,
    scanned: int = 0,
) -> KeysetPage[R]:
    """Return the page of ``rows`` that ends at ``last_entry``, or at the end of the index."""
    is_truncated = last_entry is not None and len(rows) < limit
    return KeysetPage(
        rows=rows,
        next_cursor=None if last_entry is None else encode_cursor(last_entry),
        is_truncated=is_truncated,
        lowest=lowest,
        highest=highest,
        scanned=scanned if is_truncated else 0,
    )


def encode_cursor(entry: tuple[Any, ...]) -> str:
    """Return an entry of an index as a cursor."""
    values = entry[0] if len(entry) == 1 else entry
    return json.dumps(values, default=_as_text, ensure_ascii=False, separators=(",", ":"))


def decode_cursor(model: type[Model], keys: Sequence[str], cursor: str) -> tuple[Any, ...] | None:
    """Return the entry that ``encode_cursor`` wrote, None for an empty text. Raises FilterError for anything else."""
    if not cursor:
        return None
    try:
        values = json.loads(cursor)
        if len(keys) == 1:
            values = [values]
        if not isinstance(values, list) or len(values) != len(keys):
            raise ValueError
        return tuple(_typed(model, key, value) for key, value in zip(keys, values, strict=True))
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise FilterError("below", gettext_noop("where a page ended"), cursor[:100]) from None


def _as_text(value: datetime | UUID) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _typed(model: type[Model], key: str, value: Any) -> Any:
    field = model._meta.get_field(key.removeprefix("-"))
    if isinstance(field, DateTimeField):
        instant = datetime.fromisoformat(value)
        if instant.tzinfo is None or not MIN_YEAR <= instant.year <= MAX_YEAR:
            raise ValueError
        return instant
    if isinstance(field, UUIDField):
        return UUID(value)
    if isinstance(value, str) and field.get_internal_type() == "CharField" and is_storable(value):
        return value
    if type(value) is int and -(2**63) < value < 2**63 and field.get_internal_type() != "CharField":
        return value
    raise ValueError


def _within(rows: QuerySet[M], keys: Sequence[str], column: str, value: Any) -> QuerySet[M]:
    """Read one value of the index's first column, as a range: then only that index has the order.

    With ``=``, PostgreSQL may read another index that has the order of ``keys``, and drop nearly all of its rows.
    """
    dialect, _ = open_dialect(rows.db)
    if not dialect.supports_tuple_ranges:
        return rows.filter(**{column: value})
    direction = "-" if keys[0].startswith("-") else ""
    return rows.filter(**{f"{column}__gte": value, f"{column}__lte": value}).order_by(f"{direction}{column}", *keys)


def keyset_condition(
    keys: Sequence[str],
    entry: Sequence[Any],
    *,
    behind: bool,
    using: str,
    within: tuple[str, Any] | None = None,
) -> Combinable | Q:
    """Return the condition for entries behind ``entry``, or for those up to and including it.

    ``keys`` have one direction. A comparison of tuples is a range of the index for most planners. For others it is
    spelled out, and the first key is bounded on its own, too: every planner turns that part into a range.
    """
    dialect, _ = open_dialect(using)
    names = [key.removeprefix("-") for key in keys]
    is_above = behind != keys[0].startswith("-")
    if within is not None and dialect.supports_tuple_ranges:
        names, entry = [within[0], *names], [within[1], *entry]
    if len(names) > 1 and dialect.supports_tuple_ranges:
        comparisons = {
            (True, True): TupleGreaterThan,
            (True, False): TupleGreaterThanOrEqual,
            (False, True): TupleLessThan,
            (False, False): TupleLessThanOrEqual,
        }
        return comparisons[is_above, behind](Tuple(*names), tuple(entry))
    side = "gt" if is_above else "lt"
    either = Q()
    same = Q()
    for at, (name, value) in enumerate(zip(names, entry, strict=True)):
        is_last = at == len(keys) - 1
        either |= same & Q(**{f"{name}__{side}{'e' if is_last and not behind else ''}": value})
        same &= Q(**{name: value})
    return Q(**{f"{names[0]}__{side}e": entry[0]}) & either
