"""Clamp the instants of scheduled retries that the database's clock, set back, has left too far ahead of it.

The time of a retry or snooze is as far ahead as it was of the end of the run before. What a caller asked for is
left alone: jobs that never ran, and expiries.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from django.db.models import Q

from ...models import Attempt, Job
from ...models.attempt import CLAIM_INDEX
from ...policy.clock_steps import TOLERANCE, clamped, shifted
from ...policy.states import State
from ..clock import DatabaseNow
from ..dialects import open_dialect
from ..dialects.base.jobs import state_literal
from ..dialects.shared.by_id import InIds

WINDOW = 2_000

Position = tuple[datetime, int] | None
"""``run_after`` and id of the last job of a window."""


class _Row(NamedTuple):
    pk: int
    run_after: datetime
    claim_number: int
    unknown_since: datetime | None


def clamp_retries(
    *, after: Position, unknown_delay: timedelta, dry: bool = False, using: str | None = None
) -> tuple[int, Position]:
    """Have retries among the next scheduled jobs behind ``after`` (None: from now) run no later than they were to.

    ``unknown_delay``: after this time a job whose name nobody knows is tried again.
    """
    dialect, connection = open_dialect(using)
    alias = connection.alias
    jobs = Job.objects.using(alias).filter(state=state_literal(State.SCHEDULED))
    if after is None:
        behind = jobs.filter(run_after__gt=DatabaseNow(TOLERANCE))
    else:
        behind = jobs.filter(
            Q(run_after__gt=after[0]) | Q(run_after=after[0], pk__gt=after[1]), run_after__gte=after[0]
        )
    rows = [_Row(*row) for row in behind.order_by("run_after", "pk").values_list(*_Row._fields)[:WINDOW]]
    ran = {row.pk: row.claim_number for row in rows if row.claim_number}
    attempts = Attempt.objects.using(alias).filter(InIds("job_id", ran, index=CLAIM_INDEX))
    ends = attempts.filter(finished_at__gt=DatabaseNow(TOLERANCE)).values_list("job_id", "claim_number", "finished_at")
    ended_at = {job_id: at for job_id, number, at in ends if ran[job_id] == number} if ran else {}
    now = dialect.now(connection)
    changed = 0
    for row in rows:
        run_after, unknown_since = row.run_after, row.unknown_since
        if row.pk in ended_at:
            run_after = shifted(run_after, ended_at[row.pk], now=now)
        if unknown_since is not None:
            unknown_since = clamped(unknown_since, now=now)
            run_after = clamped(run_after, now=now, span=unknown_delay)
        if (run_after, unknown_since) != (row.run_after, row.unknown_since):
            changed += 1
            if not dry:
                same = jobs.filter(pk=row.pk, run_after=row.run_after)
                same.update(run_after=run_after, unknown_since=unknown_since)
    return changed, (rows[-1].run_after, rows[-1].pk) if len(rows) == WINDOW else None
