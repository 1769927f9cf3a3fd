"""Read the groups of dead letters, the newest first, in bounded time and up to date.

What is not folded yet, the tail, is read letter by letter and added: at most 1,000 of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple

from django.db.models import Q

from ...models import DeadLetter, DeadLetterGroup, DeadLetterHour, RollupPosition
from ...policy.rollup import span_start
from ..clock import database_now
from ..dialects import open_dialect
from .group_counts import DIED_AT, Sample, parse_died_at, read_samples

GROUPS_PER_PAGE = 25
SCAN_LIMIT = 2_000
"""Groups looked at for one page."""
MAX_TAIL = 1_000
SPARKLINE_HOURS = 24
HOUR = timedelta(hours=1)
MAX_READS = 3

Status = Literal["open", "all", "muted"]


class GroupPosition(NamedTuple):
    """Where a group stands in the list: the next page lies below it."""

    last_died_at: datetime
    fingerprint: str

    def __str__(self) -> str:
        """Write it for an address; ``parse`` reads it back."""
        return f"{self.last_died_at.astimezone(UTC):%Y%m%dT%H%M%S.%f}-{self.fingerprint}"

    @classmethod
    def parse(cls, text: str) -> GroupPosition | None:
        """Read what ``str`` wrote; None for anything else."""
        instant, _, fingerprint = text.partition("-")
        try:
            return cls(datetime.strptime(instant, "%Y%m%dT%H%M%S.%f").replace(tzinfo=UTC), fingerprint)
        except ValueError:
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSummary:
    """One group as it stands now; ``hours`` are the deaths in each of the last 24 hours, the present one last.

    ``error_message`` is the beginning of the newest letter's.
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
        """Where it stands in the list."""
        return GroupPosition(self.last_died_at, self.fingerprint)


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupsPage:
    """Some groups, newest last death first.

    ``older`` is where the next page begins, None at the end: a page may be short and yet not the last, because it
    looks at 2,000 groups only. ``is_tail_truncated``: more letters are waiting to be folded than were read, so numbers are
    too low for now.
    """

    groups: list[GroupSummary]
    older: GroupPosition | None
    is_tail_truncated: bool


def groups_page(
    *,
    status: Status = "open",
    job_name: str | None = None,
    queue_name: str | None = None,
    before: GroupPosition | None = None,
    limit: int = GROUPS_PER_PAGE,
    now: datetime | None = None,
    using: str | None = None,
) -> GroupsPage:
    """Return up to ``limit`` groups below ``before``: the open ones that are not muted, all, or the muted ones.

    Nine statements at most, whatever the tables' size; ``now``, the database's time where it is known, saves one.
    """

    _, connection = open_dialect(using)
    wanted = _GroupFilter(status, job_name, queue_name)
    return _read_consistently(lambda tail: _page(tail, wanted, before, limit), now, connection.alias)


def find_group(fingerprint: str, *, using: str | None = None) -> GroupSummary | None:
    """Return one group as it stands now, or None where there is no letter of it."""
    _, connection = open_dialect(using)

    def find(tail: _Tail) -> GroupsPage:
        groups = _tail_groups(tail, {fingerprint})
        if not groups:
            rows = DeadLetterGroup.objects.using(tail.alias).filter(pk=fingerprint)
            groups = [_as_group(row) for row in rows]
        return GroupsPage(groups=_with_hours(groups, tail), older=None, is_tail_truncated=tail.is_truncated)

    page = _read_consistently(find, None, connection.alias)
    return page.groups[0] if page.groups else None


_COLUMNS = [one.name for one in fields(GroupSummary) if one.name != "hours"]


class _GroupRow(NamedTuple):
    """What decides whether and where a group is in the list; its texts are read for those that are."""

    fingerprint: str
    last_died_at: datetime
    job_name: str
    queue_name: str
    open: int
    muted_at: datetime | None

    @property
    def position(self) -> GroupPosition:
        return GroupPosition(self.last_died_at, self.fingerprint)


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
    """The newest letters that are not folded yet, newest first."""

    alias: str
    now: datetime
    done_id: int
    letters: list[_TailDeadLetter]
    is_truncated: bool

    @property
    def fingerprints(self) -> set[str]:
        return {letter.fingerprint for letter in self.letters}

    def add_to(self, group: GroupSummary | None, fingerprint: str, sample: Sample) -> GroupSummary:
        """Return the group with the tail's letters of it counted in."""
        died = [letter.died_at for letter in self.letters if letter.fingerprint == fingerprint]
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
    """Read the tail and what is to be added to it; again where a fold came between, which would count twice."""
    now = now or database_now(using=alias)
    for _ in range(MAX_READS - 1):
        tail = _read_tail(now, alias)
        page = read(tail)
        if not tail.letters or _done_id(alias) == tail.done_id:
            return page
    return read(_read_tail(now, alias))


def _done_id(alias: str) -> int:
    positions = RollupPosition.objects.using(alias).filter(pk=RollupPosition.Source.DEAD_LETTERS)
    return positions.values_list("done_id", flat=True).first() or 0


def _read_tail(now: datetime, alias: str) -> _Tail:
    done_id = _done_id(alias)
    rows = DeadLetter.objects.using(alias).filter(pk__gt=done_id).order_by("-pk")
    letters = [
        _TailDeadLetter(pk, fingerprint, parse_died_at(died_at) or now)
        for pk, fingerprint, died_at in rows.values_list("pk", "fingerprint", DIED_AT)[: MAX_TAIL + 1]
    ]
    return _Tail(
        alias=alias,
        now=now,
        done_id=done_id,
        letters=letters[:MAX_TAIL],
        is_truncated=len(letters) > MAX_TAIL,
    )


def _page(tail: _Tail, wanted: _GroupFilter, before: GroupPosition | None, limit: int) -> GroupsPage:
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
    older = found[limit - 1].position if len(found) > limit else lowest
    groups = _load_summaries(found[:limit], tail.alias)
    return GroupsPage(groups=_with_hours(groups, tail), older=older, is_tail_truncated=tail.is_truncated)


def _scan(before: GroupPosition | None, alias: str) -> list[_GroupRow]:
    rows = DeadLetterGroup.objects.using(alias).order_by("-last_died_at", "-fingerprint")
    if before is not None:
        same_instant = Q(last_died_at=before.last_died_at, fingerprint__lt=before.fingerprint)
        rows = rows.filter(
            Q(last_died_at__lt=before.last_died_at) | same_instant, last_died_at__lte=before.last_died_at
        )
    return [_GroupRow._make(row) for row in rows.values_list(*_GroupRow._fields)[:SCAN_LIMIT]]


def _tail_groups(tail: _Tail, fingerprints: set[str]) -> list[GroupSummary]:
    """Return the groups of these fingerprints that have letters in the tail, counted up to now."""
    newest: dict[str, int] = {}
    for letter in tail.letters:
        if letter.fingerprint in fingerprints:
            newest.setdefault(letter.fingerprint, letter.pk)
    if not newest:
        return []
    rows = DeadLetterGroup.objects.using(tail.alias).in_bulk(list(newest))
    samples = read_samples(list(newest.values()), using=tail.alias)
    return [
        tail.add_to(_as_group(rows[one]) if one in rows else None, one, samples[letter_id])
        for one, letter_id in newest.items()
        if letter_id in samples
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
    for letter in tail.letters:
        numbers[letter.fingerprint, (letter.died_at - first) // HOUR] += 1
    return [
        replace(
            group,
            hours=tuple(numbers[group.fingerprint, at] for at in range(SPARKLINE_HOURS)),
            open=max(group.open, 0),  # below it where the tail was cut
        )
        for group in groups
    ]
