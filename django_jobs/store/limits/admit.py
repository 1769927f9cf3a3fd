"""Admit waiting jobs at limits that have free permits. Every decision about a limit is made under its row's lock.

A worker calls ``admit`` when a snapshot shows that a limit is due for a check; a finish calls ``grant_permits`` for
the limits of its runs. Used permits are counted from the permits' own rows, so no crash leaves a wrong count.
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
"""How many jobs a limit admits at once; the rest of its queue waits for the next round."""
LOCKED_RETRY_DELAY = timedelta(seconds=0.05)
"""How soon a limit is checked again if a job of its queue was locked."""


class AdmitResult(NamedTuple):
    """How many jobs became ready or went on to their next limit, and whether there may be more to do at once."""

    granted: int
    more: bool


def admit(*, using: str | None = None) -> AdmitResult:
    """Process signals, then admit jobs at up to 200 due limits, in two transactions.

    Rows that another worker has locked are skipped.
    """
    dialect, connection = open_dialect(using)
    alias = connection.alias
    with dialect.write_transaction(connection):
        signals = _consume_signals(alias)
    with dialect.write_transaction(connection):
        now = dialect.now(connection)
        # Not ``lte=now``: Django writes a whole second for SQLite as a text that sorts before that of SQLite's clock.
        due = Limit.objects.using(alias).filter(check_at__lt=now + timedelta.resolution).order_by("check_at")
        limits = lock_limits(due.values_list("pk", flat=True)[:LIMITS_PER_ROUND], using=alias, wait=False)
        granted = grant_permits(
            [limit for limit in limits if limit.check_at and limit.check_at <= now], now=now, using=alias
        )
    return AdmitResult(granted, more=signals == SIGNALS_PER_ROUND or granted > 0 or len(limits) == LIMITS_PER_ROUND)


def grant_permits(limits: Sequence[LimitRow], *, now: datetime, using: str) -> int:
    """Grant the free permits of locked limits, in the order of their queues, and return how many.

    A job with all its permits becomes ready; one that needs more waits at its next limit. A job that another
    transaction has locked (an uncommitted cancel, for example) is skipped; at a limit of one, the queue waits for it.
    """
    if not limits:
        return 0
    rates = [limit.id for limit in limits if limit.rule.kind is LimitKind.RATE]
    if rates:
        _delete_cooled(rates, using)
    dialect, connection = open_dialect(using)
    seconds = now.timestamp()
    bounds = {limit.id: current_capacity(limit.rule, limit.state, now=seconds) for limit in limits}
    queues = dialect.limits.read_queues(connection, bounds, limit=MAX_PER_LIMIT)
    rooms = {pk: min(max(bounds[pk] - queue.used, 0), MAX_PER_LIMIT) for pk, queue in queues.items()}
    wanted = dict(entry for pk, queue in queues.items() for entry in queue.waiting[: rooms[pk]])
    taken = _admit(wanted, using)
    check_at: dict[datetime | None, list[int]] = defaultdict(list)
    for limit in limits:
        queue = queues[limit.id]
        next_check = _next_check_at(limit, queue, rooms[limit.id], taken, now) if queue.waiting else None
        if next_check != limit.check_at:
            check_at[next_check].append(limit.id)
    for at, ids in check_at.items():
        Limit.objects.using(using).filter(InIds("pk", ids)).update(check_at=at)
    return len(taken)


def _consume_signals(using: str) -> int:
    """Insert the limits of signals, or update them to the newest definition, and make them due for a check."""
    signals = list(
        LimitSignal.objects.using(using).order_by("pk").select_for_update(skip_locked=True)[:SIGNALS_PER_ROUND]
    )
    if not signals:
        return 0
    ids = {signal.limit_id for signal in signals}
    defined = {signal.limit_id: signal for signal in signals if signal.rule is not None}
    known = Limit.objects.using(using).filter(InIds("pk", defined)).values_list("pk", flat=True)
    _insert_missing(defined, known, using)
    limits = lock_limits(ids, using=using)
    while defined.keys() - {limit.id for limit in limits}:
        # A pruner deleted some of them before they were locked.
        _insert_missing(defined, [limit.id for limit in limits], using)
        limits = lock_limits(ids, using=using)
    Limit.objects.using(using).filter(InIds("pk", [limit.id for limit in limits])).update(check_at=DatabaseNow())
    for limit in limits:
        signal = defined.get(limit.id)
        if signal is not None and signal.rule != limit.rule.as_json():
            Limit.objects.using(using).filter(pk=limit.id).update(rule=signal.rule)
    delete_rows(LimitSignal.objects.using(using).filter(InIds("pk", [signal.pk for signal in signals])))
    return len(signals)


def _insert_missing(defined: Mapping[int, LimitSignal], known: Iterable[int], using: str) -> None:
    """Insert the limits of signals that are not among the known ones; another worker may insert some meanwhile."""
    missing = sorted(defined.keys() - set(known))
    if missing:
        new = [_as_limit(defined[pk]) for pk in missing]
        Limit.objects.using(using).bulk_create(new, ignore_conflicts=True)


def _as_limit(signal: LimitSignal) -> Limit:
    rule = signal.rule or {}
    return Limit(
        pk=signal.limit_id,
        kind=rule["kind"],
        name=signal.name,
        key=signal.key,
        rule=rule,
        check_at=DatabaseNow(),
    )


def _delete_cooled(limit_ids: Iterable[int], using: str) -> None:
    """Delete cooled permits. They are read first: a delete would lock every row that MariaDB reads to find them."""
    permits = Permit.objects.using(using).filter(phase=PermitPhase.COOLING)
    cooled = permits.filter(InIds("limit_id", limit_ids, index=None), free_at__lte=DatabaseNow())
    job_ids = set(cooled.values_list("job_id", flat=True))
    if job_ids:
        delete_rows(permits.filter(InIds("job_id", job_ids), free_at__lte=DatabaseNow()))


def _admit(wanted: Mapping[int, bool], using: str) -> set[int]:
    """Grant the permits to those of the jobs that are not locked elsewhere, and return these.

    ``wanted`` maps a job to whether this is its last permit.
    """
    if not wanted:
        return set()
    dialect, connection = open_dialect(using)
    complete = [pk for pk, is_last in wanted.items() if is_last]
    found = dialect.limits.admit(connection, wanted, complete=complete)
    taken = {job.job_id for job in found if job.state == State.BLOCKED}
    if len(taken) < len(found):
        not_waiting = [job.job_id for job in found if job.job_id not in taken]
        permits = Permit.objects.using(using).filter(InIds("job_id", not_waiting), run=0, phase=PermitPhase.WAITING)
        permits.update(phase=PermitPhase.ASLEEP)
    further = [pk for pk in taken if not wanted[pk]] if len(complete) < len(wanted) else []
    if further:
        wait_at_next_limit(further, using=using)
    notify_on_commit({job.queue_name for job in found}, using=using)
    return taken


def _next_check_at(
    limit: LimitRow, queue: LimitQueue, room: int, taken: Collection[int], now: datetime
) -> datetime | None:
    """Return when a check may find a free permit; None: not before a run ends or a job arrives."""
    left = sum(job_id not in taken for job_id, _ in queue.waiting)
    if not left:
        return None
    if left > len(queue.waiting) - room:
        return now + LOCKED_RETRY_DELAY
    closed_until = limit.state.closed_until
    if closed_until is not None and now.timestamp() < closed_until:
        return from_epoch(closed_until)
    if room == MAX_PER_LIMIT:
        return now
    if queue.free_at is None and limit.rule.cools_from_end:
        return now + timedelta(seconds=limit.rule.window_seconds)
    return queue.free_at
