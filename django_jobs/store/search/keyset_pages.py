"""Walk: the rows of a filter in the order of an index, a page at a time, each page in bounded time.

::

    index   |-------- page before --------| after |---- looked at: at most so many entries ----| edge |--- later ---
                                                   rows that the narrower filter lets through
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from django.db.models import DateTimeField, Model, Q, QuerySet, UUIDField

from ...policy.filter_values import FilterError
from ...policy.messages import gettext_noop

M = TypeVar("M", bound=Model)

Narrow = Callable[[QuerySet[M]], QuerySet[M]]
"""Adds conditions that the index does not serve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysetPage(Generic[M]):
    """Some rows in the index's order, and the entry behind which the next page begins, None at the end."""

    rows: list[M]
    edge: tuple[Any, ...] | None


def read_keyset_page(
    rows: QuerySet[M],
    keys: Sequence[str],
    *,
    narrow: Narrow[M] | None,
    after: tuple[Any, ...] | None,
    limit: int,
    scan: int,
) -> KeysetPage[M]:
    """Return up to ``limit`` rows behind ``after``; with ``narrow`` among the next ``scan`` entries only.

    ``keys`` are the index's columns, ``-`` before each where it is walked backwards; the last is unique. At most
    two statements.
    """
    names = [key.removeprefix("-") for key in keys]
    rows = rows.order_by(*keys)
    if after is not None:
        rows = rows.filter(_keyset_condition(keys, after, behind=True))
    edge = None
    if narrow is not None:
        edges = list(rows.values_list(*names)[scan - 1 : scan])
        edge = edges[0] if edges else None
        rows = narrow(rows if edge is None else rows.filter(_keyset_condition(keys, edge, behind=False)))
    found = list(rows[: limit + 1])
    if len(found) > limit:
        last = found[limit - 1]
        return KeysetPage(rows=found[:limit], edge=tuple(getattr(last, name) for name in names))
    return KeysetPage(rows=found, edge=edge)


def encode_cursor(edge: tuple[Any, ...] | None) -> str | None:
    """Return an entry of an index as a text for an address."""
    if edge is None:
        return None
    return json.dumps(edge, default=_as_text, ensure_ascii=False, separators=(",", ":"))


def decode_cursor(model: type[Model], keys: Sequence[str], text: str) -> tuple[Any, ...] | None:
    """Return the entry that ``encode_cursor`` wrote, None for an empty text. Raises FilterError for anything else."""
    if not text:
        return None
    try:
        values = json.loads(text)
        if not isinstance(values, list) or len(values) != len(keys):
            raise ValueError
        return tuple(_typed(model, key, value) for key, value in zip(keys, values, strict=True))
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise FilterError("below", gettext_noop("where a page ended"), text[:100]) from None


def _as_text(value: datetime | UUID) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _typed(model: type[Model], key: str, value: Any) -> Any:
    field = model._meta.get_field(key.removeprefix("-"))
    if isinstance(field, DateTimeField):
        return datetime.fromisoformat(value)
    if isinstance(field, UUIDField):
        return UUID(value)
    if isinstance(value, str) and field.get_internal_type() == "CharField":
        return value
    if type(value) is int and -(2**63) < value < 2**63 and field.get_internal_type() != "CharField":
        return value
    raise ValueError


def _keyset_condition(keys: Sequence[str], entry: Sequence[Any], *, behind: bool) -> Q:
    """Return the condition for entries behind ``entry``, or for those up to and with it.

    The first key is bounded on its own, too, because that is the part which every planner makes a range of.
    """
    either = Q()
    same = Q()
    for at, (key, value) in enumerate(zip(keys, entry, strict=True)):
        name = key.removeprefix("-")
        side = "gt" if behind != key.startswith("-") else "lt"
        is_last = at == len(keys) - 1
        either |= same & Q(**{f"{name}__{side}{'e' if is_last and not behind else ''}": value})
        same &= Q(**{name: value})
    first = keys[0].removeprefix("-")
    side = "gte" if behind != keys[0].startswith("-") else "lte"
    return Q(**{f"{first}__{side}": entry[0]}) & either
