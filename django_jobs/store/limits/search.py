"""Pages of limits, their permit holders and waiting jobs; each page in bounded time, however many there are.

::

    a name and a kind   the index of names    by key
    a name              the index of names    by kind and key
    all else            the index of names    by name, kind and key, a bounded number of entries at a time
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet

from ...models import Job, Limit, Permit
from ...policy.limits import LimitKind, LimitRule, PermitPhase
from ..clock import database_now
from ..dialects import open_dialect
from ..dialects.shared.permit_counts import read_limit_usage
from ..search.keyset_pages import PAGE_SIZE, SCAN_LIMIT, KeysetPage, read_keyset_page

MAX_COUNTED = 1_000
"""How many permits, and waiting jobs, of a limit are counted for a list."""
SHOWN_PERMITS = 100
_KEYS = ("name", "kind", "key")


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitFilter:
    """Filter limits by kind, name and a part of the key."""

    kind: LimitKind | None = None
    name: str = ""
    key_part: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitStatus:
    """The current state of a limit. ``in_use`` and ``waiting`` are counted up to one more than MAX_COUNTED."""

    limit: Limit
    rule: LimitRule
    in_use: int
    waiting: int
    waiting_since: datetime | None
    now: datetime

    @property
    def is_closed(self) -> bool:
        """True if no job is admitted, however many permits are free."""
        return self.limit.closed_until is not None and self.limit.closed_until > self.now

    @property
    def can_be_reopened(self) -> bool:
        """True if it is closed, or admits one trial run."""
        return self.is_closed or self.limit.is_tripped


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPermit:
    """A permit with its job's name and state, both empty if the job is deleted."""

    permit: Permit
    job_name: str
    job_state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitPermits:
    """The first hundred held permits, waiting jobs and cooling permits."""

    held: list[JobPermit]
    waiting: list[JobPermit]
    cooling: list[JobPermit]


def limits_page(
    wanted: LimitFilter,
    *,
    after: str = "",
    limit: int = PAGE_SIZE,
    scan: int = SCAN_LIMIT,
    using: str | None = None,
) -> KeysetPage[LimitStatus]:
    """Return up to ``limit`` limits after the cursor ``after``, by name, kind and key.

    At most four statements. Raises FilterError if ``after`` is not from a page of this filter.
    """
    _, connection = open_dialect(using)
    rows = Limit.objects.using(connection.alias)
    keys: tuple[str, ...] = _KEYS
    if wanted.name:
        rows, keys = rows.filter(name=wanted.name), keys[1:]
        if wanted.kind is not None:
            rows, keys = rows.filter(kind=wanted.kind), keys[1:]
    is_narrow = bool(wanted.key_part) or (wanted.kind is not None and not wanted.name)
    page = read_keyset_page(
        rows,
        keys,
        narrow=(lambda limits: _narrow(limits, wanted)) if is_narrow else None,
        after=after,
        limit=limit,
        scan=scan,
    )
    return KeysetPage(
        rows=_with_status(page.rows, connection.alias),
        next_cursor=page.next_cursor,
        is_truncated=page.is_truncated,
        scanned=page.scanned,
    )


def find_limit(limit_id: int, *, using: str | None = None) -> LimitStatus | None:
    """Return the current state of a limit, None if it does not exist. Three statements."""
    _, connection = open_dialect(using)
    found = _with_status(Limit.objects.using(connection.alias).filter(pk=limit_id), connection.alias)
    return found[0] if found else None


def permits_of_limit(limit_id: int, *, now: datetime, using: str | None = None) -> LimitPermits:
    """Return a limit's held permits, waiting jobs and cooling permits, a hundred of each. Four statements."""
    _, connection = open_dialect(using)
    permits = Permit.objects.using(connection.alias).filter(limit=limit_id).order_by("urgency", "job")
    held = list(permits.filter(phase=PermitPhase.HELD)[:SHOWN_PERMITS])
    waiting = list(permits.filter(phase=PermitPhase.WAITING)[:SHOWN_PERMITS])
    cooling = list(permits.filter(phase=PermitPhase.COOLING, free_at__gt=now)[:SHOWN_PERMITS])
    ids = {permit.job_id for permit in (*held, *waiting, *cooling)}
    rows = Job.objects.using(connection.alias).filter(pk__in=ids).values_list("pk", "name", "state")
    jobs = {pk: (name, state) for pk, name, state in rows}

    def with_jobs(some: Sequence[Permit]) -> list[JobPermit]:
        found = ((permit, *jobs.get(permit.job_id, ("", ""))) for permit in some)
        return [JobPermit(permit=permit, job_name=name, job_state=state) for permit, name, state in found]

    return LimitPermits(held=with_jobs(held), waiting=with_jobs(waiting), cooling=with_jobs(cooling))


def permits_of_job(job_id: int, *, using: str | None = None) -> list[Permit]:
    """Return a job's permits for its current or next run, each with its limit."""
    _, connection = open_dialect(using)
    permits = Permit.objects.using(connection.alias).filter(job=job_id, run=0)
    return list(permits.select_related("limit").order_by("kind"))


def _narrow(limits: QuerySet[Limit], wanted: LimitFilter) -> QuerySet[Limit]:
    if wanted.kind is not None:
        limits = limits.filter(kind=wanted.kind)
    return limits.filter(key__contains=wanted.key_part) if wanted.key_part else limits


def _with_status(limits: Sequence[Limit] | QuerySet[Limit], alias: str) -> list[LimitStatus]:
    rows = list(limits)
    if not rows:
        return []
    _, connection = open_dialect(alias)
    now = database_now(using=alias)
    usage = read_limit_usage(connection, [row.pk for row in rows], now=now, limit=MAX_COUNTED + 1)
    return [
        LimitStatus(
            limit=row,
            rule=LimitRule.from_json(row.rule),
            in_use=usage[row.pk].in_use,
            waiting=usage[row.pk].waiting,
            waiting_since=usage[row.pk].waiting_since,
            now=now,
        )
        for row in rows
    ]
