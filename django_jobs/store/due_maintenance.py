"""Tell in one statement which duties of maintenance have something to do: most have not, in most rounds."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import DateTimeField, Exists, F, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce

from ..models import (
    Attempt,
    Batch,
    BatchCountDelta,
    DeadLetter,
    Dependency,
    Expiry,
    Job,
    ResultRetention,
    RollupPosition,
    Worker,
)
from ..policy.batches import BatchState
from ..policy.clock_steps import TOLERANCE
from ..policy.states import State
from .clock import DatabaseNow
from .dialects import open_dialect


class DueMaintenance(NamedTuple):
    """Duties that have something to do, and the time by the database.

    ``first_heartbeat_at``: the oldest heartbeat of another living worker. ``sampled_at``: when the backlog was sampled
    last. ``lost_workers``: one is stale, or its heartbeat is in the future.
    """

    now: datetime
    first_heartbeat_at: datetime | None
    sampled_at: datetime | None
    lost_workers: bool
    orphaned_jobs: bool
    repairs: bool
    expiries: bool
    results: bool
    rollups: bool

    def until_stale(self, stale_after: timedelta) -> timedelta | None:
        """Return the time until the next living worker becomes stale without a heartbeat; None: there is none."""
        first = self.first_heartbeat_at
        return None if first is None else first + stale_after - self.now


def read_due_maintenance(
    *,
    stale_after: timedelta,
    abandoned_after: timedelta,
    exclude_id: int | None = None,
    using: str | None = None,
) -> DueMaintenance:
    """Read it, by indexes and without locks. ``exclude_id``: the caller's own worker. One statement."""
    _, connection = open_dialect(using)
    sql, values = _statement(connection.alias, stale_after, abandoned_after, exclude_id)
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        row = cursor.fetchone()
    now, first, sampled, lost, orphaned, deltas, abandoned, edges, expiries, results, *rollups = row
    return DueMaintenance(
        now=_as_instant(now, connection),
        first_heartbeat_at=_as_instant(first, connection),
        sampled_at=_as_instant(sampled, connection),
        lost_workers=bool(lost),
        orphaned_jobs=bool(orphaned),
        repairs=bool(deltas or abandoned or edges),
        expiries=bool(expiries),
        results=bool(results),
        rollups=any(rollups),
    )


@lru_cache(maxsize=8)
def _statement(
    alias: str, stale_after: timedelta, abandoned_after: timedelta, exclude_id: int | None
) -> tuple[str, list[Any]]:
    """Return the statement and its values; composed once, for it takes longer to compose than to execute."""
    others = Worker.objects.filter(state__in=Worker.ALIVE_STATES).exclude(pk=exclude_id or 0)
    silent = Q(heartbeat_at__lt=DatabaseNow(-stale_after)) | Q(heartbeat_at__gt=DatabaseNow(TOLERANCE))
    is_alive = Exists(Worker.objects.filter(pk=OuterRef("worker_id"), state__in=Worker.ALIVE_STATES))
    abandoned = Q(state=BatchState.OPEN, closed_at=None, last_activity_at__lt=DatabaseNow(-abandoned_after))
    found = (
        others.filter(silent),
        Job.objects.filter(~is_alive, state=State.RUNNING),
        BatchCountDelta.objects.all(),
        Batch.objects.filter(abandoned),
        Dependency.objects.filter(is_met__in=[False]),
        Expiry.objects.filter(check_at__lte=DatabaseNow()),
        ResultRetention.objects.filter(expires_at__lt=DatabaseNow()),
        Attempt.objects.filter(pk__gt=_rolled_up(RollupPosition.Source.ATTEMPTS)),
        DeadLetter.objects.filter(pk__gt=_rolled_up(RollupPosition.Source.DEAD_LETTERS)),
    )
    _, connection = open_dialect(alias)
    compiler = Worker.objects.using(alias).query.get_compiler(connection=connection)
    columns = [compiler.compile(DatabaseNow())]
    first = others.order_by("heartbeat_at").values("heartbeat_at")[:1]
    sampled = RollupPosition.objects.filter(pk=RollupPosition.Source.BACKLOG).values("seen_at")
    for rows in (first, sampled, *map(_any, found)):
        sql, values = rows.query.get_compiler(connection=connection).as_sql()
        columns.append((f"({sql})", values))
    return "SELECT " + ", ".join(sql for sql, _ in columns), [value for _, values in columns for value in values]


def _rolled_up(source: RollupPosition.Source) -> Coalesce:
    done = RollupPosition.objects.filter(pk=source).annotate(done=F("done_id")).values("done")
    return Coalesce(Subquery(done), 0)


def _any(rows: QuerySet[Any]) -> QuerySet[Any, Any]:
    found: QuerySet[Any, Any] = rows.order_by().annotate(found=Value(1)).values("found")[:1]
    return found


def _as_instant(value: Any, connection: BaseDatabaseWrapper) -> Any:
    field = DateTimeField()
    expression = Value(None, output_field=field)
    for convert in [*connection.ops.get_db_converters(expression), *field.get_db_converters(connection)]:
        value = convert(value, expression, connection)
    return value
