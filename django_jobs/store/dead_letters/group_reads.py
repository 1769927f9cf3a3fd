"""Read groups of dead letters with those that are not rolled up yet, the tail, added: at most 1,000, one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import NamedTuple, TypeVar

from django.db.models import QuerySet, Subquery
from django.db.models.functions import Coalesce

from ...models import DeadLetter, DeadLetterGroup, DeadLetterHour, RollupPosition
from ...policy.group_states import first_regression
from ...policy.rollup import span_start
from ..clock import database_now
from ..search.keyset_pages import decode_cursor, keyset_condition
from .group_counts import DIED_AT, Sample, parse_died_at, read_samples

P = TypeVar("P")

SCAN_LIMIT = 2_000
"""Groups scanned for one page."""
MAX_TAIL = 1_000
SPARKLINE_HOURS = 24
HOUR = timedelta(hours=1)
MAX_READS = 3


GroupPosition = tuple[datetime, str]
NEWEST_FIRST = ("-last_died_at", "-fingerprint")


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSummary:
    """A group with its current counts. ``regressed_at``: its first death after ``resolved_at``, None if there is none.

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
    resolved_at: datetime | None = None
    resolved_by: str = ""
    regressed_at: datetime | None = None
    note: str = ""
    noted_at: datetime | None = None
    noted_by: str = ""
    hours: tuple[int, ...] = (0,) * SPARKLINE_HOURS

    @property
    def position(self) -> GroupPosition:
        """The group's entry in the index of the list."""
        return (self.last_died_at, self.fingerprint)


_COLUMNS = [column.name for column in fields(GroupSummary) if column.name != "hours"]


class GroupRow(NamedTuple):
    """Columns for filter and order; the texts are read only for the groups of the page."""

    fingerprint: str
    last_died_at: datetime
    job_name: str
    queue_name: str
    open: int
    first_died_at: datetime
    muted_at: datetime | None
    resolved_at: datetime | None
    regressed_at: datetime | None

    @property
    def position(self) -> GroupPosition:
        """The group's entry in the index of the list."""
        return (self.last_died_at, self.fingerprint)


Candidate = GroupRow | GroupSummary
"""A group with its current counts; those in the tail are read whole."""


class TailDeadLetter(NamedTuple):
    """A dead letter that is not rolled up yet."""

    pk: int
    fingerprint: str
    died_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """The newest dead letters that are not rolled up yet, newest first."""

    alias: str
    now: datetime
    rolled_up_to: int
    dead_letters: list[TailDeadLetter]
    is_truncated: bool

    @property
    def fingerprints(self) -> set[str]:
        """The groups that have dead letters in it."""
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
        regressed_at = group.regressed_at
        if group.resolved_at is not None and regressed_at is None and group.open + len(died) > 0:
            after = [at for at in died if at > group.resolved_at]
            regressed_at = first_regression(group.resolved_at, after or died)
        return replace(
            group,
            **sample._asdict(),
            regressed_at=regressed_at,
            first_died_at=min(group.first_died_at, *died),
            last_died_at=max(group.last_died_at, *died),
            total=group.total + len(died),
            open=group.open + len(died),
        )


def read_consistently(read: Callable[[Tail], tuple[P, int]], now: datetime | None, alias: str) -> P:
    """Read the tail and the page; again if a rollup ran in between, whose dead letters would count twice."""
    now = now or database_now(using=alias)
    for _ in range(MAX_READS - 1):
        tail = _read_tail(now, alias)
        page, rolled_up_to = read(tail)
        if not tail.dead_letters or rolled_up_to == tail.rolled_up_to:
            return page
    return read(_read_tail(now, alias))[0]


def _positions(alias: str) -> QuerySet[RollupPosition]:
    return RollupPosition.objects.using(alias).filter(pk=RollupPosition.Source.DEAD_LETTERS)


def _read_tail(now: datetime, alias: str) -> Tail:
    """Return the tail, and up to where letters are rolled up, at one moment. One statement."""
    done = Coalesce(Subquery(_positions(alias).values("done_id")), 0)
    rows = DeadLetter.objects.using(alias).filter(pk__gt=done).order_by("-pk")
    found = list(rows.values_list("pk", "fingerprint", DIED_AT, done)[: MAX_TAIL + 1])
    dead_letters = [
        TailDeadLetter(pk, fingerprint, parse_died_at(died_at) or now) for pk, fingerprint, died_at, _ in found
    ]
    return Tail(
        alias=alias,
        now=now,
        rolled_up_to=found[0][-1] if found else 0,
        dead_letters=dead_letters[:MAX_TAIL],
        is_truncated=len(dead_letters) > MAX_TAIL,
    )


def decode_position(cursor: str) -> GroupPosition | None:
    """Return the position that ``encode_cursor`` wrote, None for an empty text. Raises FilterError for another."""
    entry = decode_cursor(DeadLetterGroup, NEWEST_FIRST, cursor)
    return None if entry is None else (entry[0], entry[1])


def read_candidates(tail: Tail, before: GroupPosition | None) -> tuple[list[Candidate], GroupPosition | None]:
    """Return the next groups behind a position, newest first, and the last position scanned if there are more.

    Up to 2,000 of the table, and those of the tail at their current place. Three statements.
    """
    live = {group.fingerprint: group for group in _tail_groups(tail, tail.fingerprints)}
    scanned = _scan(before, tail.alias)
    lowest = scanned[-1].position if len(scanned) == SCAN_LIMIT else None
    candidates: list[Candidate] = [group for group in scanned if group.fingerprint not in live]
    candidates += [group for group in live.values() if before is None or group.position < before]
    found = (group for group in candidates if lowest is None or group.position >= lowest)
    return sorted(found, key=lambda group: group.position, reverse=True), lowest


def read_group(fingerprint: str, tail: Tail) -> list[GroupSummary]:
    """Return the group of a fingerprint with its current counts, if it has one. At most three statements."""
    if groups := _tail_groups(tail, {fingerprint}):
        return groups
    return [_as_summary(row) for row in DeadLetterGroup.objects.using(tail.alias).filter(pk=fingerprint)]


def _scan(before: GroupPosition | None, alias: str) -> list[GroupRow]:
    rows = DeadLetterGroup.objects.using(alias).order_by(*NEWEST_FIRST)
    if before is not None:
        rows = rows.filter(keyset_condition(NEWEST_FIRST, before, behind=True, using=alias))
    return [GroupRow._make(row) for row in rows.values_list(*GroupRow._fields)[:SCAN_LIMIT]]


def _tail_groups(tail: Tail, fingerprints: set[str]) -> list[GroupSummary]:
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
        tail.add_to(_as_summary(rows[key]) if key in rows else None, key, samples[dead_letter_id])
        for key, dead_letter_id in newest.items()
        if dead_letter_id in samples
    ]


def load_summaries(found: Sequence[Candidate], alias: str) -> list[GroupSummary]:
    """Return these groups whole. At most one statement."""
    light = [group.fingerprint for group in found if isinstance(group, GroupRow)]
    rows = DeadLetterGroup.objects.using(alias).in_bulk(light) if light else {}
    return [
        group if isinstance(group, GroupSummary) else _as_summary(rows[group.fingerprint])
        for group in found
        if isinstance(group, GroupSummary) or group.fingerprint in rows
    ]


def _as_summary(row: DeadLetterGroup) -> GroupSummary:
    return GroupSummary(**{name: getattr(row, name) for name in _COLUMNS})


def with_hours(groups: Sequence[GroupSummary], tail: Tail) -> tuple[list[GroupSummary], int]:
    """Return the groups with their deaths by hour, and up to where letters were rolled up then. One statement."""
    first = span_start(tail.now.timestamp(), int(HOUR.total_seconds())) - (SPARKLINE_HOURS - 1) * HOUR
    rows = DeadLetterHour.objects.using(tail.alias).filter(
        fingerprint__in=[group.fingerprint for group in groups], starts_at__gte=first
    )
    position = _positions(tail.alias).values_list("source", "seen_at", "done_id")
    numbers: Counter[tuple[str, int]] = Counter()
    rolled_up_to = 0
    # No fingerprint is the name of a source.
    for key, at, number in rows.values_list("fingerprint", "starts_at", "number").union(position, all=True):
        if key == RollupPosition.Source.DEAD_LETTERS:
            rolled_up_to = number
        else:
            numbers[key, (at - first) // HOUR] += number
    for dead_letter in tail.dead_letters:
        numbers[dead_letter.fingerprint, (dead_letter.died_at - first) // HOUR] += 1
    shown = [
        replace(
            group,
            hours=tuple(numbers[group.fingerprint, at] for at in range(SPARKLINE_HOURS)),
            open=max(group.open, 0),  # negative if the tail is truncated
        )
        for group in groups
    ]
    return shown, rolled_up_to
