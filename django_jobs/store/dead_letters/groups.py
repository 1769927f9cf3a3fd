"""Read the groups of dead letters, newest first, in bounded time and up to date.

Dead letters that are not rolled up yet, the tail, are read one by one and added: at most 1,000 of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

from ...models import DeadLetter, DeadLetterGroup, DeadLetterHour, RollupPosition
from ...policy.rollup import span_start
from ..clock import database_now
from ..dialects import open_dialect
from ..search.keyset_pages import KeysetPage, decode_cursor, encode_cursor, keyset_condition
from .group_counts import DIED_AT, Sample, parse_died_at, read_samples

GROUPS_PER_PAGE = 25
SCAN_LIMIT = 2_000
"""Groups scanned for one page."""
MAX_TAIL = 1_000
SPARKLINE_HOURS = 24
HOUR = timedelta(hours=1)
MAX_READS = 3

Status = Literal["open", "all", "muted"]
GroupPosition = tuple[datetime, str]
NEWEST_FIRST = ("-last_died_at", "-fingerprint")


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSummary:
    """A group with its current counts.

    ``hours`` are the deaths in each of the last 24 hours, the current hour last. ``error_message`` is the beginning of
    the newest dead letter's.
    """

    fingerprint: str
    job_name: str
    queue_name: str
    reason: str
    error_class: str
    error_message: str
    first_died_at: datetime
    last_died_at: datetime
    total: int = 0
    open: int = 0
    muted_at: datetime | None = None
    muted_by: str = ""
    note: str = ""
    noted_at: datetime | None = None
    noted_by: str = ""
    hours: tuple[int, ...] = (0,) * SPARKLINE_HOURS

    @property
    def position(self) -> GroupPosition:
        """The group's entry in the index of the list."""
        return (self.last_died_at, self.fingerprint)


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

    Nine statements at most, whatever the tables' size; ``now``, the database's time if known, saves one. A page may be
    short and not the last: it scans 2,000 groups. Raises FilterError if ``after`` is not a cursor of groups.
    """
    _, connection = open_dialect(using)
    wanted = _GroupFilter(status, job_name, queue_name)
    before = decode_cursor(DeadLetterGroup, NEWEST_FIRST, after)
    return _read_consistently(lambda tail: _page(tail, wanted, before, limit), now, connection.alias)


def find_group(fingerprint: str, *, using: str | None = None) -> GroupSummary | None:
    """Return a group with its current counts, or None if it has no dead letter."""
    _, connection = open_dialect(using)

    def find(tail: _Tail) -> GroupsPage:
        groups = _tail_groups(tail, {fingerprint})
        if not groups:
            rows = DeadLetterGroup.objects.using(tail.alias).filter(pk=fingerprint)
            groups = [_as_group(row) for row in rows]
        return GroupsPage(rows=_with_hours(groups, tail), next_cursor=None, is_tail_truncated=tail.is_truncated)

    page = _read_consistently(find, None, connection.alias)
    return page.rows[0] if page.rows else None


_COLUMNS = [column.name for column in fields(GroupSummary) if column.name != "hours"]


class _GroupRow(NamedTuple):
    """Columns for filter and order; the texts are read only for the groups of the page."""

    fingerprint: str
    last_died_at: datetime
    job_name: str
    queue_name: str
    open: int
    muted_at: datetime | None

    @property
    def position(self) -> GroupPosition:
        return (self.last_died_at, self.fingerprint)


class _GroupFilter(NamedTuple):
    status: Status
    job_name: str | None
    queue_name: str | None

    def has(self, group: _GroupRow | GroupSummary) -> bool:
        if self.status != "all" and (group.muted_at is None) is (self.status == "muted"):
            return False
        return (
            (self.status != "open" or group.open > 0)
            and self.job_name in {None, group.job_name}
            and self.queue_name in {None, group.queue_name}
        )


class _TailDeadLetter(NamedTuple):
    pk: int
    fingerprint: str
    died_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tail:
    """The newest dead letters that are not rolled up yet, newest first."""

    alias: str
    now: datetime
    rolled_up_to: int
    dead_letters: list[_TailDeadLetter]
    is_truncated: bool

    @property
    def fingerprints(self) -> set[str]:
        return {dead_letter.fingerprint for dead_letter in self.dead_letters}

    def add_to(self, group: GroupSummary | None, fingerprint: str, sample: Sample) -> GroupSummary:
        """Return the group with the counts of its dead letters in the tail added."""
        died = [dead_letter.died_at for dead_letter in self.dead_letters if dead_letter.fingerprint == fingerprint]
        group = group or GroupSummary(
            fingerprint=fingerprint,
            first_died_at=min(died),
            last_died_at=max(died),
            **sample._asdict(),
        )
        return replace(
            group,
            **sample._asdict(),
            first_died_at=min(group.first_died_at, *died),
            last_died_at=max(group.last_died_at, *died),
            total=group.total + len(died),
            open=group.open + len(died),
        )


def _read_consistently(read: Callable[[_Tail], GroupsPage], now: datetime | None, alias: str) -> GroupsPage:
    """Read the tail and the page; again if a rollup ran in between, whose dead letters would count twice."""
    now = now or database_now(using=alias)
    for _ in range(MAX_READS - 1):
        tail = _read_tail(now, alias)
        page = read(tail)
        if not tail.dead_letters or _rolled_up_to(alias) == tail.rolled_up_to:
            return page
    return read(_read_tail(now, alias))


def _rolled_up_to(alias: str) -> int:
    positions = RollupPosition.objects.using(alias).filter(pk=RollupPosition.Source.DEAD_LETTERS)
    return positions.values_list("done_id", flat=True).first() or 0


def _read_tail(now: datetime, alias: str) -> _Tail:
    rolled_up_to = _rolled_up_to(alias)
    rows = DeadLetter.objects.using(alias).filter(pk__gt=rolled_up_to).order_by("-pk")
    dead_letters = [
        _TailDeadLetter(pk, fingerprint, parse_died_at(died_at) or now)
        for pk, fingerprint, died_at in rows.values_list("pk", "fingerprint", DIED_AT)[: MAX_TAIL + 1]
    ]
    return _Tail(
        alias=alias,
        now=now,
        rolled_up_to=rolled_up_to,
        dead_letters=dead_letters[:MAX_TAIL],
        is_truncated=len(dead_letters) > MAX_TAIL,
    )


def _page(tail: _Tail, wanted: _GroupFilter, before: tuple[Any, ...] | None, limit: int) -> GroupsPage:
    live = {group.fingerprint: group for group in _tail_groups(tail, tail.fingerprints)}
    scanned = _scan(before, tail.alias)
    lowest = scanned[-1].position if len(scanned) == SCAN_LIMIT else None
    candidates: list[_GroupRow | GroupSummary] = [group for group in scanned if group.fingerprint not in live]
    candidates += [group for group in live.values() if before is None or group.position < before]
    found = sorted(
        (group for group in candidates if wanted.has(group) and (lowest is None or group.position >= lowest)),
        key=lambda group: group.position,
        reverse=True,
    )
    last_entry = found[limit - 1].position if len(found) > limit else lowest
    groups = _load_summaries(found[:limit], tail.alias)
    return GroupsPage(
        rows=_with_hours(groups, tail),
        next_cursor=None if last_entry is None else encode_cursor(last_entry),
        is_truncated=last_entry is not None and len(found) < limit,
        is_tail_truncated=tail.is_truncated,
    )


def _scan(before: tuple[Any, ...] | None, alias: str) -> list[_GroupRow]:
    rows = DeadLetterGroup.objects.using(alias).order_by(*NEWEST_FIRST)
    if before is not None:
        rows = rows.filter(keyset_condition(NEWEST_FIRST, before, behind=True, using=alias))
    return [_GroupRow._make(row) for row in rows.values_list(*_GroupRow._fields)[:SCAN_LIMIT]]


def _tail_groups(tail: _Tail, fingerprints: set[str]) -> list[GroupSummary]:
    """Return the groups of these fingerprints that have dead letters in the tail, with current counts."""
    newest: dict[str, int] = {}
    for dead_letter in tail.dead_letters:
        if dead_letter.fingerprint in fingerprints:
            newest.setdefault(dead_letter.fingerprint, dead_letter.pk)
    if not newest:
        return []
    rows = DeadLetterGroup.objects.using(tail.alias).in_bulk(list(newest))
    samples = read_samples(list(newest.values()), using=tail.alias)
    return [
        tail.add_to(_as_group(rows[key]) if key in rows else None, key, samples[dead_letter_id])
        for key, dead_letter_id in newest.items()
        if dead_letter_id in samples
    ]


def _load_summaries(found: Sequence[_GroupRow | GroupSummary], alias: str) -> list[GroupSummary]:
    light = [group.fingerprint for group in found if isinstance(group, _GroupRow)]
    rows = DeadLetterGroup.objects.using(alias).in_bulk(light) if light else {}
    return [
        group if isinstance(group, GroupSummary) else _as_group(rows[group.fingerprint])
        for group in found
        if isinstance(group, GroupSummary) or group.fingerprint in rows
    ]


def _as_group(row: DeadLetterGroup) -> GroupSummary:
    return GroupSummary(**{name: getattr(row, name) for name in _COLUMNS})


def _with_hours(groups: Sequence[GroupSummary], tail: _Tail) -> list[GroupSummary]:
    first = span_start(tail.now.timestamp(), int(HOUR.total_seconds())) - (SPARKLINE_HOURS - 1) * HOUR
    rows = DeadLetterHour.objects.using(tail.alias).filter(
        fingerprint__in=[group.fingerprint for group in groups], starts_at__gte=first
    )
    numbers: Counter[tuple[str, int]] = Counter()
    for fingerprint, starts_at, number in rows.values_list("fingerprint", "starts_at", "number"):
        numbers[fingerprint, (starts_at - first) // HOUR] += number
    for dead_letter in tail.dead_letters:
        numbers[dead_letter.fingerprint, (dead_letter.died_at - first) // HOUR] += 1
    return [
        replace(
            group,
            hours=tuple(numbers[group.fingerprint, at] for at in range(SPARKLINE_HOURS)),
            open=max(group.open, 0),  # negative if the tail is truncated
        )
        for group in groups
    ]
