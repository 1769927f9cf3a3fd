"""Read the groups of dead letters, newest first, in bounded time and up to date.

Dead letters that are not rolled up yet, the tail, are read one by one and added: at most 1,000 of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

from django.db.models import BigIntegerField, F, Func, OuterRef, Subquery

from ...models import DeadLetter, DeadLetterGroup, RollupPosition
from ..dialects import open_dialect
from ..search.keyset_pages import KeysetPage, encode_cursor
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

__all__ = ["GroupSummary", "GroupsPage", "Status", "count_by_groups", "find_group", "groups_page"]

GROUPS_PER_PAGE = 25
Status = Literal["open", "all", "muted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupsPage(KeysetPage[GroupSummary]):
    """A page of groups, newest last death first. ``is_tail_truncated``: more dead letters are waiting to be counted
    than were read, so that the numbers are too low for now.
    """

    is_tail_truncated: bool


def groups_page(
    *,
    status: Status = "open",
    job_name: str | None = None,
    queue_name: str | None = None,
    after: str = "",
    limit: int = GROUPS_PER_PAGE,
    now: datetime | None = None,
    using: str | None = None,
) -> GroupsPage:
    """Return up to ``limit`` groups behind the cursor ``after``: the open ones that are not muted, all, or the muted.

    Seven statements at most, whatever the tables' size; ``now``, the database's time if known, saves one. A page may be
    short and not the last: it scans 2,000 groups. Raises FilterError if ``after`` is not a cursor of groups.
    """
    _, connection = open_dialect(using)
    wanted = _GroupFilter(status, job_name, queue_name)
    before = decode_position(after)
    return read_consistently(lambda tail: _page(tail, wanted, before, limit), now, connection.alias)


def find_group(fingerprint: str, *, using: str | None = None) -> GroupSummary | None:
    """Return a group with its current counts, or None if it has no dead letter."""
    _, connection = open_dialect(using)

    def find(tail: Tail) -> _Read:
        groups, rolled_up_to = with_hours(read_group(fingerprint, tail), tail)
        return GroupsPage(rows=groups, next_cursor=None, is_tail_truncated=tail.is_truncated), rolled_up_to

    page = read_consistently(find, None, connection.alias)
    return page.rows[0] if page.rows else None


def count_by_groups(fingerprint: str = "", *, using: str) -> int | None:
    """Return the number of open dead letters, of one group or of all, by the groups' counts and the tail.

    None before the first rollup. One statement, and so the counts of one moment.
    """
    of_group = {"fingerprint": fingerprint} if fingerprint else {}
    number = Func(F("pk"), function="COUNT", output_field=BigIntegerField())
    tail = DeadLetter.objects.filter(pk__gt=OuterRef("done_id"), **of_group).order_by()
    total = Func(F("open"), function="SUM", output_field=BigIntegerField())
    counted = DeadLetterGroup.objects.filter(**of_group).order_by().annotate(summed=total).values("summed")
    positions = RollupPosition.objects.using(using).filter(pk=RollupPosition.Source.DEAD_LETTERS)
    found = positions.values_list(Subquery(counted), Subquery(tail.annotate(number=number).values("number"))).first()
    return None if found is None else max(int(found[0] or 0) + found[1], 0)


_Read = tuple[GroupsPage, int]
"""A page, and up to which id dead letters were rolled up when it had been read."""


class _GroupFilter(NamedTuple):
    status: Status
    job_name: str | None
    queue_name: str | None

    def has(self, group: Candidate) -> bool:
        if self.status != "all" and (group.muted_at is None) is (self.status == "muted"):
            return False
        return (
            (self.status != "open" or group.open > 0)
            and self.job_name in {None, group.job_name}
            and self.queue_name in {None, group.queue_name}
        )


def _page(tail: Tail, wanted: _GroupFilter, before: GroupPosition | None, limit: int) -> _Read:
    candidates, lowest = read_candidates(tail, before)
    found = [group for group in candidates if wanted.has(group)]
    last_entry = found[limit - 1].position if len(found) > limit else lowest
    groups, rolled_up_to = with_hours(load_summaries(found[:limit], tail.alias), tail)
    page = GroupsPage(
        rows=groups,
        next_cursor=None if last_entry is None else encode_cursor(last_entry),
        is_truncated=last_entry is not None and len(found) < limit,
        is_tail_truncated=tail.is_truncated,
    )
    return page, rolled_up_to
