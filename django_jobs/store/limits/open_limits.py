"""Limits as those who lock, judge and open them read them: without a model's instance for each of hundreds."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet, TextField
from django.db.models.functions import Cast

from ...models import Limit
from ...policy.limits import LimitRule, LimitState
from ..dialects.base.jobs import from_epoch
from ..dialects.shared.by_id import InIds


@dataclass(slots=True)
class LimitRow:
    """A limit's row, as it is while somebody decides on it."""

    id: int
    rule: LimitRule
    check_at: datetime | None
    state: LimitState


def lock_limits(ids: Iterable[int], *, using: str, wait: bool = True) -> list[LimitRow]:
    """Lock limits by key, in the order of their ids; without ``wait`` those only that nobody else has locked."""
    return _read(_by_id(ids, using).select_for_update(skip_locked=not wait))


def read_limits(ids: Iterable[int], *, using: str) -> list[LimitRow]:
    """Read limits by key, without locks: what is decided elsewhere meanwhile may differ."""
    return _read(_by_id(ids, using))


def write_state(limit: LimitRow, state: LimitState, *, using: str) -> None:
    """Write what is known of a locked limit besides its rule."""
    limit.state = state
    closed = None if state.closed_until is None else from_epoch(state.closed_until)
    Limit.objects.using(using).filter(pk=limit.id).update(
        closed_until=closed, is_tripped=state.tripped, failures=list(state.failures)
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
