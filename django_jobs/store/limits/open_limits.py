"""Rows of limits for decisions: without a model instance for each of hundreds."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet, TextField
from django.db.models.functions import Cast

from ...models import Limit
from ...policy.limits import LimitRule, LimitState
from ..clock import DatabaseNow
from ..dialects.base.jobs import from_epoch
from ..dialects.shared.by_id import InIds


@dataclass(slots=True)
class LimitRow:
    """The columns of a limit that a decision needs."""

    id: int
    rule: LimitRule
    check_at: datetime | None
    state: LimitState


def lock_limits(ids: Iterable[int], *, using: str, wait: bool = True) -> list[LimitRow]:
    """Lock limits by key, in the order of their ids; without ``wait`` skip those that are locked elsewhere."""
    return _read(_by_id(ids, using).select_for_update(skip_locked=not wait))


def read_limits(ids: Iterable[int], *, using: str) -> list[LimitRow]:
    """Read limits by key, without locks: another worker may change them meanwhile."""
    return _read(_by_id(ids, using))


def write_state(limit: LimitRow, state: LimitState, *, using: str) -> None:
    """Write the state of a locked limit."""
    limit.state = state
    closed = None if state.closed_until is None else from_epoch(state.closed_until)
    Limit.objects.using(using).filter(pk=limit.id).update(
        closed_at=None if closed is None else DatabaseNow(),
        closed_until=closed,
        is_tripped=state.tripped,
        failures=list(state.failures),
    )


def _by_id(ids: Iterable[int], using: str) -> QuerySet[Limit]:
    return Limit.objects.using(using).filter(InIds("pk", ids)).order_by("pk")


def _read(limits: QuerySet[Limit]) -> list[LimitRow]:
    rows = limits.values_list(
        "pk",
        Cast("rule", TextField()),
        "check_at",
        "closed_until",
        "is_tripped",
        Cast("failures", TextField()),
    )
    return [
        LimitRow(pk, LimitRule.from_text(rule), check_at, _as_state(closed_until, tripped, failures))
        for pk, rule, check_at, closed_until, tripped, failures in rows
    ]


_UNTOUCHED = LimitState()


def _as_state(closed_until: datetime | None, tripped: bool, failures: str) -> LimitState:
    if closed_until is None and not tripped and failures == "[]":
        return _UNTOUCHED
    closed = None if closed_until is None else closed_until.timestamp()
    return LimitState(closed, bool(tripped), tuple(json.loads(failures)))
