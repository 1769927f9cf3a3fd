"""Schedules: save, pause, resume and delete them, and sync those defined in code."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import Q

from ...conf import get_settings, project_name, project_names
from ...exceptions import ConfigurationError
from ...models import CronSchedule, Tick
from ...models.base import MAX_ACTOR_LENGTH
from ...policy.schedule import ScheduleSpec, Timing
from ..clock import DatabaseNow
from ..dialects import open_dialect
from ..dialects.shared.by_id import delete_rows
from ..notify import notify_schedulers_on_commit
from ..selection import alias_of
from .queued_ticks import QUEUED_TICK_CHECK_INTERVAL, has_queued_ticks, skip_queued_ticks

ROWS_PER_STATEMENT = 1_000
TOLERANCE = timedelta(seconds=1)
"""Processes of one supervisor compute its start by different reads of the database's clock."""

ScheduleResolver = Callable[[CronSchedule], ScheduleSpec]
"""Returns the spec of a row written by staff, or raises ConfigurationError with its problem."""


class SyncResult(NamedTuple):
    """Names of the schedules that a sync has created, changed, disabled, or found broken (with the reason).

    ``taken_over``: those that another project had written, with its name.
    """

    made: list[str]
    changed: list[str]
    disabled: list[str]
    problems: list[str]
    taken_over: list[str]


def save_schedule(
    spec: ScheduleSpec, *, replaces: CronSchedule | None = None, using: str | None = None
) -> CronSchedule:
    """Save a schedule of staff, a new one or in place of ``replaces``, and return it.

    Its ticks stay; if its times have changed it is next due after now. Raises ConfigurationError if the name is taken,
    the row was deleted, or code defines it.
    """
    dialect, connection = open_dialect(alias_of(replaces, using) or get_settings().database_of_schedules)
    rows = CronSchedule.objects.using(connection.alias).select_for_update()
    with dialect.write_transaction(connection):
        row = rows.filter(pk=replaces.pk).first() if replaces is not None else CronSchedule()
        if row is None:
            raise ConfigurationError(f"schedule {spec.name!r} has been deleted")
        if row.is_from_code:
            raise ConfigurationError(f"schedule {row.name!r} is defined in code; change it there")
        if rows.filter(name=spec.name).exclude(pk=row.pk).exists():
            raise ConfigurationError(f"name: there is already a schedule {spec.name!r}")
        now = dialect.now(connection)
        _write(row, spec, now=now, using=connection.alias)
        row.defined_at, row.project = now, project_name()
        row.save(using=connection.alias)
        notify_schedulers_on_commit(using=connection.alias)
    return row


def pause_schedule(schedule: CronSchedule, *, by: str = "", using: str | None = None) -> bool:
    """Pause a schedule; return False if it was paused before. Its jobs go on, queued ticks are skipped."""
    dialect, connection = open_dialect(alias_of(schedule, using))
    rows = CronSchedule.objects.using(connection.alias).filter(pk=schedule.pk, paused_at__isnull=True)
    with dialect.write_transaction(connection):
        changed = rows.update(
            paused_at=DatabaseNow(), paused_by=by[:MAX_ACTOR_LENGTH], next_due_at=None, next_check_at=None
        )
        if changed:
            skip_queued_ticks(
                schedule, reason="the schedule was paused while the tick was queued", using=connection.alias
            )
    return bool(changed)


def resume_schedule(schedule: CronSchedule, *, using: str | None = None) -> bool:
    """Resume a schedule, next due after now; return False if it was not paused."""
    dialect, connection = open_dialect(alias_of(schedule, using))
    rows = CronSchedule.objects.using(connection.alias).select_for_update()
    with dialect.write_transaction(connection):
        row = rows.filter(pk=schedule.pk, paused_at__isnull=False).first()
        if row is None:
            return False
        row.paused_at, row.paused_by = None, ""
        _set_next(row, row.timing, dialect.now(connection))
        row.save(using=connection.alias)
        notify_schedulers_on_commit(using=connection.alias)
    return True


def delete_schedule(schedule: CronSchedule, *, using: str | None = None) -> None:
    """Delete a schedule with its ticks; its jobs stay. Raises ConfigurationError if code defines it."""
    dialect, connection = open_dialect(alias_of(schedule, using))
    rows = CronSchedule.objects.using(connection.alias)
    if rows.filter(pk=schedule.pk, is_from_code=True, disabled_at__isnull=True).exists():
        raise ConfigurationError(f"schedule {schedule.name!r} is defined in code; remove it there, or pause it")
    ticks = Tick.objects.using(connection.alias).filter(schedule=schedule.pk).order_by("pk")
    rows.filter(pk=schedule.pk).update(next_due_at=None, next_check_at=None)
    while ids := list(ticks.values_list("pk", flat=True)[:ROWS_PER_STATEMENT]):
        delete_rows(ticks.filter(pk__in=ids))
    with dialect.write_transaction(connection):
        rows.filter(pk=schedule.pk).delete()


def sync_schedules(
    specs: Iterable[ScheduleSpec], *, judge: ScheduleResolver, started_at: datetime, using: str | None = None
) -> SyncResult:
    """Sync the rows with the code that started at ``started_at``.

    Schedules defined in code are created or changed, those no longer defined are disabled, and rows of staff are
    checked by ``judge``. If versions run side by side the one started last wins: a row written by later code is left
    alone. So are the rows of other projects, unless this one defines a schedule of the same name and job, or the other
    has given it up: then it is taken over. A few statements if nothing has changed.
    """
    dialect, connection = open_dialect(using)
    rows = CronSchedule.objects.using(connection.alias)
    now = dialect.now(connection)
    wanted = {spec.name: spec for spec in specs}
    found = {row.name: row for row in rows.order_by("pk")}
    made = [spec for name, spec in wanted.items() if name not in found]
    new = [_written(spec, started_at, now) for spec in made]
    rows.bulk_create(new, ignore_conflicts=True, batch_size=ROWS_PER_STATEMENT)

    synced = SyncResult([spec.name for spec in made], [], [], [], [])
    touched: list[int] = []
    own = [row for row in found.values() if _is_own(row, wanted.get(row.name), synced)]
    for row in own:
        verdict = _verdict(row, wanted.get(row.name), judge)
        if _is_younger(row, started_at, now) or not _needs_change(row, verdict):
            continue
        with dialect.write_transaction(connection):
            locked = rows.select_for_update().filter(pk=row.pk).first()
            if locked is None or _is_younger(locked, started_at, now):
                continue
            touched.append(row.pk)
            _sync_row(locked, verdict, synced, now=now, using=connection.alias)
            locked.is_from_code = locked.is_from_code or row.name in wanted
            locked.defined_at, locked.project = started_at, project_name()
            locked.save(using=connection.alias)
    same = [row.pk for row in own if row.pk not in touched]
    for start in range(0, len(same), ROWS_PER_STATEMENT):
        older = (
            Q(defined_at__isnull=True) | Q(defined_at__lt=started_at - TOLERANCE) | Q(defined_at__gt=now + TOLERANCE)
        )
        rows.filter(older, pk__in=same[start : start + ROWS_PER_STATEMENT]).update(defined_at=started_at)
    if made or touched:
        notify_schedulers_on_commit(using=connection.alias)
    return synced


def _is_own(row: CronSchedule, spec: ScheduleSpec | None, synced: SyncResult) -> bool:
    """Tell whether a row is this project's to change; note the schedules that it takes over or cannot have."""
    if row.project in project_names():
        return True
    if spec is None:
        return False
    if row.job_name == spec.job_name or row.disabled_at is not None:
        synced.taken_over.append(f"{row.name} (of {row.project})")
        return True
    synced.problems.append(
        f"{row.name}: project {row.project!r} has a schedule of this name, for job {row.job_name!r}; give this one"
        " another name. If the project was renamed, set DJANGO_JOBS['PROJECT'] to its new name and the earlier one"
    )
    return False


class _Problem(str):
    """The problem of a row written by staff."""


_Verdict = ScheduleSpec | _Problem | None
"""Intended state of a row: this spec, broken with a problem, or disabled (None)."""


def _verdict(row: CronSchedule, spec: ScheduleSpec | None, judge: ScheduleResolver) -> _Verdict:
    if spec is not None or row.is_from_code:
        return spec
    try:
        return judge(row)
    except ConfigurationError as error:
        return _Problem(error)


def _needs_change(row: CronSchedule, verdict: _Verdict) -> bool:
    return row.project != project_name() or _differs_from(row, verdict)


def _differs_from(row: CronSchedule, verdict: _Verdict) -> bool:
    if verdict is None:
        return row.disabled_at is None
    if isinstance(verdict, _Problem):
        return row.problem != verdict
    return row.disabled_at is not None or bool(row.problem) or _differs(row, verdict)


def _sync_row(row: CronSchedule, verdict: _Verdict, synced: SyncResult, *, now: datetime, using: str) -> None:
    if not _differs_from(row, verdict):
        return
    if verdict is None:
        row.disabled_at, row.next_due_at, row.next_check_at = now, None, None
        skip_queued_ticks(row, reason="no code defines the schedule any more", using=using)
        synced.disabled.append(row.name)
    elif isinstance(verdict, _Problem):
        row.problem, row.next_due_at, row.next_check_at = str(verdict), None, None
        skip_queued_ticks(row, reason=f"cannot fire: {verdict}", using=using)
        synced.problems.append(f"{row.name}: {verdict}")
    else:
        _write(row, verdict, now=now, using=using)
        synced.changed.append(row.name)


def _is_younger(row: CronSchedule, started_at: datetime, now: datetime) -> bool:
    """Tell whether code that was started later wrote the row; not if that is in the future: the clock was set back."""
    return row.defined_at is not None and started_at + TOLERANCE < row.defined_at <= now + TOLERANCE


def _written(spec: ScheduleSpec, started_at: datetime, now: datetime) -> CronSchedule:
    row = CronSchedule(is_from_code=True, defined_at=started_at)
    _fill(row, spec)
    _set_next(row, spec.timing, now)
    return row


def _differs(row: CronSchedule, spec: ScheduleSpec) -> bool:
    return any(getattr(row, field) != value for field, value in _fields(spec).items())


def _write(row: CronSchedule, spec: ScheduleSpec, *, now: datetime, using: str) -> None:
    """Apply ``spec`` to ``row``; a schedule whose times stay the same keeps its next tick."""
    keeps_times = row.next_due_at is not None and row.timing == spec.timing
    _fill(row, spec)
    if not keeps_times:
        _restart(row, now=now, using=using)


def restart(row: CronSchedule, *, now: datetime, using: str) -> None:
    """Save a locked schedule as next due after now; queued ticks are checked soon."""
    _restart(row, now=now, using=using)
    row.save(using=using, update_fields=["next_due_at", "next_check_at"])


def _restart(row: CronSchedule, *, now: datetime, using: str) -> None:
    _set_next(row, row.timing, now)
    if row.next_check_at is not None and has_queued_ticks(row, using=using):
        row.next_check_at = min(row.next_check_at, now + QUEUED_TICK_CHECK_INTERVAL)


def _fill(row: CronSchedule, spec: ScheduleSpec) -> None:
    for field, value in _fields(spec).items():
        setattr(row, field, value)
    row.problem, row.disabled_at = "", None


def _fields(spec: ScheduleSpec) -> dict[str, Any]:
    timing, tick_policy = spec.timing, spec.tick_policy
    return {
        "name": timing.name,
        "job_name": spec.job_name,
        "arguments": spec.arguments,
        "queue_name": spec.queue_name,
        "priority": spec.priority,
        "max_attempts": spec.max_attempts,
        "expires": spec.expires,
        "cron": timing.cron,
        "every": timing.every,
        "timezone": timing.timezone,
        "jitter": timing.jitter,
        "overlap": tick_policy.overlap.value,
        "catch_up": tick_policy.catch_up.value,
        "catch_up_limit": tick_policy.catch_up_limit,
    }


def _set_next(row: CronSchedule, timing: Timing, now: datetime) -> None:
    """Set the next tick after ``now``; none while the row is paused, disabled or broken."""
    if row.paused_at is not None or row.disabled_at is not None or row.problem:
        row.next_due_at = row.next_check_at = None
        return
    row.next_due_at = timing.next(now)
    row.next_check_at = None if row.next_due_at is None else timing.check_at(row.next_due_at)
