"""Read the groups of dead letters as work to do: each with its state, the most urgent first.

::

    index of last deaths   |-- 2,000 groups: states, numbers, order by urgency --|-- the next 2,000 --|
                             page | page | ...                                     page | ...

So states need not be stored, where they would be out of date: *new* and *rising* end by themselves.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from ...policy.filter_values import FilterError
from ...policy.group_states import NEW_FOR, DeathRates, GroupFacts, GroupState, group_state
from ...policy.messages import gettext_noop
from ..dialects import open_dialect
from ..search.keyset_pages import KeysetPage, encode_cursor
from .death_rates import NO_DEATHS, read_death_rates
from .group_reads import (
    Candidate,
    GroupPosition,
    GroupSummary,
    Tail,
    decode_position,
    load_summaries,
    read_candidates,
    read_consistently,
    read_group,
    with_hours,
)

GROUPS_PER_PAGE = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class TriagedGroup:
    """A group, its state, and the rates that were read to decide it."""

    group: GroupSummary
    state: GroupState
    rates: DeathRates


@dataclass(frozen=True, slots=True, kw_only=True)
class TriagePage(KeysetPage[TriagedGroup]):
    """A page of groups, the most urgent first, those of one state by their last death.

    ``numbers`` are those of the groups in each state, among the scanned ones; ``is_number_bounded``: there are more.
    ``chosen`` is the group that was asked for, on whatever page it is. ``is_tail_truncated``: see ``GroupsPage``.
    """

    numbers: Mapping[GroupState, int]
    is_number_bounded: bool
    chosen: TriagedGroup | None
    is_tail_truncated: bool


def triage_page(
    states: Collection[GroupState],
    *,
    job_name: str | None = None,
    queue_name: str | None = None,
    chosen: str = "",
    after: str = "",
    limit: int = GROUPS_PER_PAGE,
    now: datetime | None = None,
    using: str | None = None,
) -> TriagePage:
    """Return up to ``limit`` groups in one of ``states`` behind the cursor ``after``, and the group ``chosen``.

    Nine statements at most, whatever the tables' size. Raises FilterError if ``after`` is not a cursor of such a page.
    """
    _, connection = open_dialect(using)
    start = _decode(after)
    names = (job_name, queue_name)
    return read_consistently(lambda tail: _page(tail, states, names, chosen, start, limit), now, connection.alias)


def find_triaged_group(fingerprint: str, *, using: str | None = None) -> TriagedGroup | None:
    """Return a group with its state, None if it has no dead letter. At most six statements."""
    _, connection = open_dialect(using)

    def find(tail: Tail) -> tuple[list[TriagedGroup], int]:
        groups = read_group(fingerprint, tail)
        decided = _decide(groups, tail)
        groups, rolled_up_to = with_hours(groups, tail)
        return _triaged(groups, decided), rolled_up_to

    return next(iter(read_consistently(find, None, connection.alias)), None)


class _Decided(NamedTuple):
    state: GroupState
    rates: DeathRates


class _Start(NamedTuple):
    """The start of a page: behind a place in the order of the groups that follow ``window``."""

    window: GroupPosition | None
    place: tuple[int, GroupPosition] | None


def _page(
    tail: Tail,
    states: Collection[GroupState],
    names: tuple[str | None, str | None],
    chosen: str,
    start: _Start,
    limit: int,
) -> tuple[TriagePage, int]:
    scanned, lowest = read_candidates(tail, start.window)
    candidates = [group for group in scanned if _has_names(group, names)]
    elsewhere = [] if not chosen or any(row.fingerprint == chosen for row in scanned) else read_group(chosen, tail)
    decided = _decide([*scanned, *elsewhere], tail)
    order = {group.fingerprint: _place(group, decided) for group in candidates}
    wanted = [group for group in candidates if decided[group.fingerprint].state in states]
    wanted.sort(key=lambda group: order[group.fingerprint])
    if start.place is not None:
        behind = _sort_key(*start.place)
        wanted = [group for group in wanted if order[group.fingerprint] > behind]
    rows = wanted[:limit]
    also = [group for group in [*scanned, *elsewhere] if group.fingerprint == chosen and group not in rows]
    groups, rolled_up_to = with_hours(load_summaries([*rows, *also], tail.alias), tail)
    triaged = _triaged(groups, decided)
    fingerprints = {row.fingerprint for row in rows}
    page = TriagePage(
        rows=[row for row in triaged if row.group.fingerprint in fingerprints],
        next_cursor=_next_cursor(rows, len(wanted) > limit, start, lowest, decided),
        is_truncated=len(wanted) <= limit and lowest is not None and len(rows) < limit,
        numbers=Counter(decided[group.fingerprint].state for group in candidates),
        is_number_bounded=lowest is not None or start.window is not None,
        chosen=next((row for row in triaged if row.group.fingerprint == chosen), None),
        is_tail_truncated=tail.is_truncated,
    )
    return page, rolled_up_to


def _has_names(group: Candidate, names: tuple[str | None, str | None]) -> bool:
    return names[0] in {None, group.job_name} and names[1] in {None, group.queue_name}


def _decide(groups: Sequence[Candidate], tail: Tail) -> dict[str, _Decided]:
    """Return the state of each group. One statement, for those that may be rising."""
    rates = read_death_rates({group.fingerprint for group in groups if _may_rise(group, tail.now)}, tail)
    decided = {}
    for group in groups:
        of_group = rates.get(group.fingerprint, NO_DEATHS)
        facts = GroupFacts(
            open=group.open,
            first_died_at=group.first_died_at,
            muted_at=group.muted_at,
            resolved_at=group.resolved_at,
            regressed_at=group.regressed_at,
            rates=of_group,
        )
        decided[group.fingerprint] = _Decided(group_state(facts, now=tail.now), of_group)
    return decided


def _may_rise(group: Candidate, now: datetime) -> bool:
    """Tell whether the rates matter: else the state does not depend on them, or nothing died in the last day."""
    is_recent = now - group.last_died_at <= NEW_FOR
    is_old = now - group.first_died_at >= NEW_FOR
    return group.open > 0 and is_recent and is_old and group.muted_at is None and group.resolved_at is None


def _place(group: Candidate, decided: Mapping[str, _Decided]) -> tuple[int, float, str]:
    return _sort_key(decided[group.fingerprint].state.urgency, group.position)


def _sort_key(urgency: int, position: GroupPosition) -> tuple[int, float, str]:
    return (urgency, -position[0].timestamp(), position[1])


def _triaged(groups: Sequence[GroupSummary], decided: Mapping[str, _Decided]) -> list[TriagedGroup]:
    return [TriagedGroup(group=group, **decided[group.fingerprint]._asdict()) for group in groups]


def _next_cursor(
    rows: Sequence[Candidate],
    is_more: bool,
    start: _Start,
    lowest: GroupPosition | None,
    decided: Mapping[str, _Decided],
) -> str | None:
    if is_more:
        last = rows[-1]
        return _encode(_Start(start.window, (decided[last.fingerprint].state.urgency, last.position)))
    return None if lowest is None else _encode(_Start(lowest, None))


def _encode(start: _Start) -> str:
    window = "" if start.window is None else encode_cursor(start.window)
    place = [] if start.place is None else [start.place[0], encode_cursor(start.place[1])]
    return json.dumps([window, *place], ensure_ascii=False, separators=(",", ":"))


def _decode(cursor: str) -> _Start:
    if not cursor:
        return _Start(None, None)
    try:
        window, *place = json.loads(cursor)
        if not place:
            return _Start(decode_position(window), None)
        urgency, text = place
        position = decode_position(text)
        if type(urgency) is not int or position is None:
            raise ValueError
        return _Start(decode_position(window), (urgency, position))
    except (ValueError, TypeError, RecursionError):
        raise FilterError("below", gettext_noop("where a page ended"), cursor[:100]) from None
