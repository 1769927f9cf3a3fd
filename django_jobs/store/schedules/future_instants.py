"""Make schedules due again that the database's clock, set back, has left waiting for a tick too far ahead of it."""

from __future__ import annotations

from datetime import datetime

from ...models import CronSchedule
from ...policy.clock_steps import TOLERANCE
from ..dialects import open_dialect
from ..notify import notify_schedulers_on_commit
from .definitions import restart

WINDOW = 200


def clamp_schedules(*, after: int, dry: bool = False, using: str | None = None) -> tuple[int, int | None]:
    """Have the next schedules behind ``after`` be due at their next ticks. What has fired does not fire again."""
    dialect, connection = open_dialect(using)
    rows = CronSchedule.objects.using(connection.alias).order_by("pk")
    window = list(rows.filter(pk__gt=after, next_check_at__isnull=False)[:WINDOW])
    now = dialect.now(connection)
    late = [row.pk for row in window if _waits_too_long(row, now)]
    if late and not dry:
        with dialect.write_transaction(connection):
            for row in rows.select_for_update().filter(pk__in=late):
                if _waits_too_long(row, now):
                    restart(row, now=now, using=connection.alias)
            notify_schedulers_on_commit(using=connection.alias)
    return len(late), window[-1].pk if len(window) == WINDOW else None


def _waits_too_long(row: CronSchedule, now: datetime) -> bool:
    """Tell whether a tick comes before the one that the schedule waits for, or the check is later than that one."""
    if row.next_due_at is None or row.next_check_at is None or row.next_check_at <= now + TOLERANCE:
        return False
    try:
        following = row.timing.next(now + TOLERANCE)
        check_at = row.timing.check_at(row.next_due_at)
    except (ValueError, ArithmeticError, LookupError):
        return False  # the scheduler reports the problem when it is due
    return (following is not None and row.next_due_at > following) or row.next_check_at > check_at + TOLERANCE
