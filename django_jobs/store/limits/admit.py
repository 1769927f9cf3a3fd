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

from ...models import Limit, LimitSignal, Permit
from ...policy.limits import LimitKind, PermitPhase, current_capacity
from ...policy.states import State
from ..clock import DatabaseNow
from ..dialects import open_dialect
from ..dialects.base.jobs import from_epoch
from ..dialects.base.limits import LimitQueue
from ..dialects.shared.by_id import InIds, delete_rows
from ..notify import notify_on_commit
from .open_limits import LimitRow, lock_limits
from .permits import wait_at_next_limit

LIMITS_PER_ROUND = 200
SIGNALS_PER_ROUND = 1_000
MAX_PER_LIMIT = 500
"""So many a limit lets in at once; the rest of its line comes in the next round."""
LOCKED_RETRY_DELAY = timedelta(seconds=0.05)
"""How soon to look again where somebody had a job of a line locked."""


class AdmitResult(NamedTuple):
    """How many jobs became ready or went on to their next limit, and whether there may be more to do at once."""

    granted: int
    more: bool


def admit(*, using: str | None = None) -> AdmitResult:
    """Take notices in, and give out what open limits have to give: at most 200 limits, in two transactions.

    What another worker has locked is passed over.
    """
    dialect, connection = open_dialect(using)
    alias = connection.alias
    with dialect.write_transaction(connection):
        noticed = _consume_signals(alias)
    with dialect.write_transaction(connection):
        now = dialect.now(connection)
        due = Limit.objects.using(alias).filter(check_at__lte=now).order_by("check_at")
        limits = lock_limits(due.values_list("pk", flat=True)[:LIMITS_PER_ROUND], using=alias, wait=False)
        granted = grant_permits(
            [limit for limit in limits if limit.check_at and limit.check_at <= now], now=now, using=alias
        )
    return AdmitResult(
        granted, more=noticed == SIGNALS_PER_ROUND or granted > 0 or len(limits) == LIMITS_PER_ROUND
    )


def grant_permits(limits: Sequence[LimitRow], *, now: datetime, using: str) -> int:
    """Give out the permits of locked limits, in the order of their lines, and return how many.

    A job with all its permits becomes ready; one that needs more waits at its next limit. A job that somebody else
    has locked (a cancel that is not committed, say) is passed over; at a limit of one, the line waits for it.
    """
    if not limits:
        return 0
    rates = [limit.id for limit in limits if limit.rule.kind is LimitKind.RATE]
    if rates:
        _delete_cooled(rates, using)
    dialect, connection = open_dialect(using)
    seconds = now.timestamp()
    bounds = {limit.id: current_capacity(limit.rule, limit.state, now=seconds) for limit in limits}
    lines = dialect.limits.read_queues(connection, bounds, limit=MAX_PER_LIMIT)
    rooms = {pk: min(max(bounds[pk] - line.used, 0), MAX_PER_LIMIT) for pk, line in lines.items()}
    wanted = dict(one for pk, line in lines.items() for one in line.waiting[: rooms[pk]])
    taken = _admit(wanted, using)
    check_at: dict[datetime | None, list[int]] = defaultdict(list)
    for limit in limits:
        line = lines[limit.id]
        next_check = _next_check_at(limit, line, rooms[limit.id], taken, now) if line.waiting else None
        if next_check != limit.check_at:
            check_at[next_check].append(limit.id)
    for at, ids in check_at.items():
        Limit.objects.using(using).filter(InIds("pk", ids)).update(check_at=at)
    return len(taken)


def _consume_signals(using: str) -> int:
    """Make the limits that notices tell of, or change them to the newest definition, and open them."""
    notices = list(
        LimitSignal.objects.using(using)
        .order_by("pk")
        .select_for_update(skip_locked=True)[:SIGNALS_PER_ROUND]
    )
    if not notices:
        return 0
    ids = {one.limit_id for one in notices}
    defined = {one.limit_id: one for one in notices if one.rule is not None}
    known = set(Limit.objects.using(using).filter(InIds("pk", ids)).values_list("pk", flat=True))
    new = [_as_limit(one) for pk, one in defined.items() if pk not in known]
    # Another worker may have made some of them a moment ago.
    Limit.objects.using(using).bulk_create(new, ignore_conflicts=True)
    limits = lock_limits(ids, using=using)
    Limit.objects.using(using).filter(InIds("pk", [limit.id for limit in limits])).update(
        check_at=DatabaseNow()
    )
    for limit in limits:
        notice = defined.get(limit.id)
        if notice is not None and notice.rule != limit.rule.as_json():
            Limit.objects.using(using).filter(pk=limit.id).update(rule=notice.rule)
    delete_rows(LimitSignal.objects.using(using).filter(InIds("pk", [one.pk for one in notices])))
    return len(notices)


def _as_limit(notice: LimitSignal) -> Limit:
    rule = notice.rule or {}
    return Limit(
        pk=notice.limit_id,
        kind=rule["kind"],
        name=notice.name,
        key=notice.key,
        rule=rule,
        check_at=DatabaseNow(),
    )


def _delete_cooled(limit_ids: Iterable[int], using: str) -> None:
    """Delete the uses that count no more. Read first: a delete would lock what MariaDB reads in search of them."""
    permits = Permit.objects.using(using).filter(phase=PermitPhase.COOLING)
    cooled = permits.filter(InIds("limit_id", limit_ids, index=None), free_at__lte=DatabaseNow())
    job_ids = set(cooled.values_list("job_id", flat=True))
    if job_ids:
        delete_rows(permits.filter(InIds("job_id", job_ids), free_at__lte=DatabaseNow()))


def _admit(wanted: Mapping[int, bool], using: str) -> set[int]:
    """Hand the permits to those of the jobs that nobody else has locked, and return these.

    ``wanted`` says of each job whether it then has all that it needs.
    """
    if not wanted:
        return set()
    dialect, connection = open_dialect(using)
    complete = [pk for pk, is_last in wanted.items() if is_last]
    found = dialect.limits.admit(connection, wanted, complete=complete)
    taken = {one.job_id for one in found if one.state == State.BLOCKED}
    if len(taken) < len(found):
        astray = [one.job_id for one in found if one.job_id not in taken]
        permits = Permit.objects.using(using).filter(
            InIds("job_id", astray), run=0, phase=PermitPhase.WAITING
        )
        permits.update(phase=PermitPhase.ASLEEP)
    further = [pk for pk in taken if not wanted[pk]] if len(complete) < len(wanted) else []
    if further:
        wait_at_next_limit(further, using=using)
    notify_on_commit({one.queue_name for one in found}, using=using)
    return taken


def _next_check_at(
    limit: LimitRow, line: LimitQueue, room: int, taken: Collection[int], now: datetime
) -> datetime | None:
    """Return when a look may find something to give out, None: not before a run ends or a job comes."""
    left = sum(job_id not in taken for job_id, _ in line.waiting)
    if not left:
        return None
    if left > len(line.waiting) - room:
        return now + LOCKED_RETRY_DELAY
    closed_until = limit.state.closed_until
    if closed_until is not None and now.timestamp() < closed_until:
        return from_epoch(closed_until)
    if room == MAX_PER_LIMIT:
        return now
    if line.free_at is None and limit.rule.cools_from_end:
        return now + timedelta(seconds=limit.rule.window_seconds)
    return line.free_at
