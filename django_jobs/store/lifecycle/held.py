"""Release jobs that are held because no worker knew their names, once one does."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from functools import cache

from django.db.models import Q, QuerySet

from ...models import Job
from ...policy.states import State
from ..clock import DatabaseNow
from ..dialects import open_dialect
from ..dialects.base.jobs import state_literal
from ..dialects.shared.by_id import InIds
from ..selection import lock_jobs

WINDOW = 1_000

Position = tuple[datetime | None, int]
"""``run_after`` and id of the last job of a window."""


def release_held(
    knows: Callable[[str], bool],
    *,
    unknown_delay: timedelta,
    queues: Collection[str] | None = None,
    using: str | None = None,
) -> int:
    """Make held jobs due now whose names are known, and return how many; they count as unknown no longer.

    ``knows`` is asked once for each name. ``unknown_delay``: how long they are held, so that only jobs due within that
    time are read, by the index of scheduled jobs. ``queues`` None: of all queues. One statement if none is held; else
    one more for each 1,000, and a transaction that locks those found and changes what is still held. Any number of
    workers may call this at once.
    """
    dialect, connection = open_dialect(using)
    alias, released = connection.alias, 0
    after: Position | None = None
    knows_once = cache(knows)
    while True:
        rows = list(_held(unknown_delay, queues, after, alias).values_list("run_after", "pk", "name")[:WINDOW])
        if ids := [pk for _, pk, name in rows if knows_once(name)]:
            with dialect.write_transaction(connection):
                locked = lock_jobs(ids, states={State.SCHEDULED}, using=alias)
                still_held = Job.objects.using(alias).filter(InIds("pk", locked), unknown_since__isnull=False)
                released += still_held.update(run_after=DatabaseNow(), unknown_since=None)
        if len(rows) < WINDOW:
            return released
        after = rows[-1][:2]


def _held(
    unknown_delay: timedelta, queues: Collection[str] | None, after: Position | None, alias: str
) -> QuerySet[Job]:
    scheduled = Job.objects.using(alias).filter(state=state_literal(State.SCHEDULED), unknown_since__isnull=False)
    held = scheduled.filter(run_after__gt=DatabaseNow(), run_after__lte=DatabaseNow(unknown_delay))
    if queues is not None:
        held = held.filter(queue_name__in=queues)
    if after is not None:
        held = held.filter(Q(run_after__gt=after[0]) | Q(run_after=after[0], pk__gt=after[1]))
    return held.order_by("run_after", "pk")
