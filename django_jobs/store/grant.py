"""Grant: let in who waits at limits that have room. All of a limit's decisions are made under its row's lock.

A worker does it where a look has seen that a limit is open (``admit``), and at the end of each run for the limits
that the run was under (``settle``). What is given out is counted from the permits themselves, so no crash leaves
a count that is wrong.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db.models import Count, Min

from ..models import Job, Limit, LimitNotice, Permit
from ..policy.limits import Kind, Phase, room
from ..policy.states import State
from .clock import DatabaseNow
from .dialects import open_dialect
from .dialects.among import Among
from .dialects.base import from_epoch
from .doorbell import ring_on_commit
from .open_limits import OpenLimit, lock_limits
from .permits import arrive

LIMITS_A_ROUND = 200
NOTICES_A_ROUND = 1_000
MOST_OF_ONE = 500
"""So many a limit lets in at once; the rest of its line comes in the next round."""
HELD_UP = timedelta(seconds=0.05)
"""How soon to look again where somebody had a job of a line locked."""


class Admitted(NamedTuple):
    """How many jobs became ready or went on to their next limit, and whether there may be more to do at once."""

    granted: int
    more: bool


def admit(*, using: str | None = None) -> Admitted:
    """Take notices in, and give out what open limits have to give: at most 200 limits, in two transactions.

    What another worker has locked is passed over.
    """
    dialect, connection = open_dialect(using)
    alias = connection.alias
    with dialect.writing(connection):
        noticed = _take_notices(alias)
    with dialect.writing(connection):
        now = dialect.now(connection)
        due = Limit.objects.using(alias).filter(open_at__lte=now).order_by("open_at")
        limits = lock_limits(due.values_list("pk", flat=True)[:LIMITS_A_ROUND], using=alias, wait=False)
        granted = grant(
            [limit for limit in limits if limit.open_at and limit.open_at <= now], now=now, using=alias
        )
    return Admitted(granted, more=noticed == NOTICES_A_ROUND or granted > 0 or len(limits) == LIMITS_A_ROUND)


def grant(limits: Sequence[OpenLimit], *, now: datetime, using: str) -> int:
    """Give out the permits of locked limits, in the order of their lines, and return how many.

    A job with all its permits becomes ready; one that needs more waits at its next limit. A job that somebody else
    has locked (a cancel that is not committed, say) is passed over; at a limit of one, the line waits for it.
    """
    if not limits:
        return 0
    rates = [limit.id for limit in limits if limit.rule.kind is Kind.RATE]
    if rates:
        _forget_cooled(rates, using)
    used, free_at = _usage([limit.id for limit in limits], using)
    seconds = now.timestamp()
    rooms = {
        limit.id: min(room(limit.rule, limit.state, used=used.get(limit.id, 0), now=seconds), MOST_OF_ONE)
        for limit in limits
    }
    lines = _read_lines(rooms, using)
    wanted = {job_id: is_last for pk, line in lines.items() for job_id, is_last in line[: rooms[pk]]}
    taken = _let_in(wanted, using)
    open_at: dict[datetime | None, list[int]] = defaultdict(list)
    for limit in limits:
        line = lines.get(limit.id, [])
        next_look = _next_look(limit, line, rooms[limit.id], taken, free_at.get(limit.id), now)
        if next_look != limit.open_at:
            open_at[next_look].append(limit.id)
    for at, ids in open_at.items():
        Limit.objects.using(using).filter(Among("pk", ids)).update(open_at=at)
    return len(taken)


def _take_notices(using: str) -> int:
    """Make the limits that notices tell of, or change them to the newest definition, and open them."""
    notices = list(
        LimitNotice.objects.using(using).order_by("pk").select_for_update(skip_locked=True)[:NOTICES_A_ROUND]
    )
    if not notices:
        return 0
    ids = {one.limit_id for one in notices}
    defined = {one.limit_id: one for one in notices if one.rule is not None}
    known = set(Limit.objects.using(using).filter(Among("pk", ids)).values_list("pk", flat=True))
    new = [_as_limit(one) for pk, one in defined.items() if pk not in known]
    # Another worker may have made some of them a moment ago.
    Limit.objects.using(using).bulk_create(new, ignore_conflicts=True)
    limits = lock_limits(ids, using=using)
    Limit.objects.using(using).filter(Among("pk", [limit.id for limit in limits])).update(
        open_at=DatabaseNow()
    )
    for limit in limits:
        notice = defined.get(limit.id)
        if notice is not None and notice.rule != limit.rule.as_json():
            Limit.objects.using(using).filter(pk=limit.id).update(rule=notice.rule)
    LimitNotice.objects.using(using).filter(Among("pk", [one.pk for one in notices]))._raw_delete(using)
    return len(notices)


def _as_limit(notice: LimitNotice) -> Limit:
    rule = notice.rule or {}
    return Limit(
        pk=notice.limit_id,
        kind=rule["kind"],
        name=notice.name,
        key=notice.key,
        rule=rule,
        open_at=DatabaseNow(),
    )


def _forget_cooled(limit_ids: Iterable[int], using: str) -> None:
    cooled = Permit.objects.using(using).filter(
        Among("limit_id", limit_ids, by_key=False), phase=Phase.COOLING
    )
    cooled.filter(free_at__lte=DatabaseNow())._raw_delete(using)


def _usage(limit_ids: Iterable[int], using: str) -> tuple[dict[int, int], dict[int, datetime]]:
    """Return how many permits of each limit are held or cooling, and when the first of these is free."""
    given = Permit.objects.using(using).filter(
        Among("limit_id", limit_ids, by_key=False), phase__in=[Phase.HELD, Phase.COOLING]
    )
    rows = list(given.order_by().values_list("limit_id").annotate(number=Count("*"), free=Min("free_at")))
    return {pk: number for pk, number, _ in rows}, {pk: free for pk, _, free in rows if free is not None}


def _read_lines(rooms: Mapping[int, int], using: str) -> dict[int, list[tuple[int, bool]]]:
    """Return the head of each line: one more than there is room for, to know whether somebody is left."""
    dialect, connection = open_dialect(using)
    lines: dict[int, list[tuple[int, bool]]] = defaultdict(list)
    for limit_id, job_id, is_last in dialect.read_line_heads(connection, rooms):
        lines[limit_id].append((job_id, bool(is_last)))
    return lines


def _let_in(wanted: Mapping[int, bool], using: str) -> set[int]:
    """Hand the permits to those of the jobs that nobody else has locked, and return these."""
    if not wanted:
        return set()
    jobs = Job.objects.using(using)
    rows = jobs.filter(Among("pk", wanted)).order_by("pk").select_for_update(skip_locked=True)
    found = list(rows.values_list("pk", "state", "queue_name"))
    permits = Permit.objects.using(using).filter(run=0, phase=Phase.WAITING)
    astray = [pk for pk, state, _ in found if state != State.BLOCKED]
    if astray:
        permits.filter(Among("job_id", astray)).update(phase=Phase.ASLEEP)
    taken = {pk for pk, state, _ in found if state == State.BLOCKED}
    permits.filter(Among("job_id", taken)).update(phase=Phase.HELD, since=DatabaseNow())
    complete = [pk for pk in taken if wanted[pk]]
    jobs.filter(Among("pk", complete)).update(state=State.READY, ready_at=DatabaseNow())
    if len(complete) < len(taken):
        arrive([pk for pk in taken if not wanted[pk]], using=using)
    ring_on_commit({queue_name for _, _, queue_name in found}, using=using)
    return taken


def _next_look(
    limit: OpenLimit,
    line: Sequence[tuple[int, bool]],
    room: int,
    taken: Collection[int],
    free_at: datetime | None,
    now: datetime,
) -> datetime | None:
    """Return when a look may find something to give out, None: not before a run ends or a job comes."""
    left = [job_id for job_id, _ in line if job_id not in taken]
    if not left:
        return None
    if len(left) > len(line) - room:
        return now + HELD_UP
    closed_until = limit.state.closed_until
    if closed_until is not None and now.timestamp() < closed_until:
        return from_epoch(closed_until)
    if room == MOST_OF_ONE:
        return now
    if free_at is None and limit.rule.cools_from_end:
        return now + timedelta(seconds=limit.rule.window_seconds)
    return free_at
