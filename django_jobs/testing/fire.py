"""Fire a schedule in a test: the tick that a worker would decide on, without waiting for its time."""

from __future__ import annotations

import time

from asgiref.sync import sync_to_async

from .. import operations
from ..conf.database import current_database
from ..exceptions import ConfigurationError
from ..models import CronSchedule, Tick
from ..policy.hints import find_near
from ..registry import DefinedJob, TaskLike
from ..schedules import ScheduleDefinition, all_schedules
from ..worker.duties.scheduler import sync_code_schedules
from .targets import name_of


def fire(schedule: ScheduleDefinition | CronSchedule | DefinedJob | TaskLike | str, /) -> Tick:
    """Fire a schedule now and return its tick: ``fire("nightly").job``.

    Given are a schedule of code or of the database, its name, or a job or Task with ``cron`` or ``every``. First the
    schedules of code are written to the database, as a starting worker does; then the tick is decided as one is that
    staff request with *Run now*: ``overlap`` may skip or queue it, or cancel the job before, which ``tick.outcome`` and
    ``tick.reason`` tell. ``tick.job`` is None unless it fired. The schedule's own times stay. In the caller's
    transaction.

    Raises ConfigurationError for a name that no schedule has, and for one that is disabled or broken.
    """
    using = current_database()
    if isinstance(schedule, CronSchedule):
        row = schedule
    else:
        sync_code_schedules(using=using, started=time.monotonic())
        row = _find(schedule.name if isinstance(schedule, ScheduleDefinition) else name_of(schedule), using)
    made = operations.run_schedule(row, using=using)
    return Tick.objects.using(using).select_related("job").get(pk=made.tick_id)


async def afire(schedule: ScheduleDefinition | CronSchedule | DefinedJob | TaskLike | str, /) -> Tick:
    """Do what ``fire`` does, in asynchronous code."""
    return await sync_to_async(fire)(schedule)


def _find(name: str, using: str) -> CronSchedule:
    row = CronSchedule.objects.using(using).filter(name=name).first()
    if row is None:
        known = [schedule.name for schedule in all_schedules()]
        near = find_near(name, known)
        hint = f"; did you mean {near!r}?" if near else f"; known are {', '.join(sorted(known)) or 'none'}"
        raise ConfigurationError(f"fire: no schedule is named {name!r}{hint}")
    return row
