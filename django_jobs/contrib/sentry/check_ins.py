"""Check-ins of the jobs of schedules: Sentry's monitor of a schedule learns of each begin and of each end.

One check-in for a job: its id is made of the job's, so that every attempt, in whichever process, writes to the same
one. It is in progress until the job has ended; a job that is retried or snoozed is in progress.
"""

from __future__ import annotations

import math
import re
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

from django.utils.text import slugify
from sentry_sdk.crons import capture_checkin

from ... import registry
from ...conf import get_settings
from ...context import JobContext
from ...policy.cron import ALIASES
from ..run_ends import RunEnd
from .options import ReportOptions

if TYPE_CHECKING:
    from ...models import CronSchedule

IN_PROGRESS, OK, ERROR = "in_progress", "ok", "error"
MAX_SLUG_LENGTH = 50
DEFAULT_MAX_RUNTIME = 30
"""Sentry's own, in minutes."""
STATUS = {RunEnd.SUCCEEDED: OK, RunEnd.CANCELLED: OK, RunEnd.DEAD: ERROR}
UNITS = (
    ("week", timedelta(weeks=1)),
    ("day", timedelta(days=1)),
    ("hour", timedelta(hours=1)),
    ("minute", timedelta(minutes=1)),
)
_NAMESPACE = UUID("5f1cdd51-6a4e-4f0a-9d0b-1d3a1b8f7a55")
_ITEM = r"(\*|[0-9a-z]{1,3}(-[0-9a-z]{1,3})?)(/\d+)?"
_PORTABLE_FIELD = re.compile(rf"{_ITEM}(,{_ITEM})*")
"""What every reader of cron expressions understands: no ``#``, random or hashed value."""
_WORD = re.compile(r"[a-z]+")
_KNOWN_WORD = re.compile("sun|mon|tue|wed|thu|fri|sat|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec")


class CheckIn:
    """The check-in of one job; begun when it is made."""

    def __init__(self, slug: str, job_id: int | str, config: dict[str, Any] | None) -> None:
        self._slug = slug
        self._id = uuid5(_NAMESPACE, f"{slug}:{job_id}").hex
        self._config = config
        self._started = time.monotonic()
        self._capture(IN_PROGRESS)

    def end(self, end: RunEnd) -> None:
        """Tell how the job has ended, if it has."""
        if end in STATUS:
            self._capture(STATUS[end], duration=time.monotonic() - self._started)

    def _capture(self, status: str, **fields: Any) -> None:
        config: Any = self._config
        capture_checkin(monitor_slug=self._slug, check_in_id=self._id, status=status, monitor_config=config, **fields)


def begin_check_in(context: JobContext, options: ReportOptions) -> CheckIn | None:
    """Begin the check-in of a schedule's job; None for any other. One statement, for the schedule."""
    name = context.schedule_name
    if name is None or not options.monitor_schedules or name in options.exclude_schedules:
        return None
    from ...models import CronSchedule

    schedule = CronSchedule.objects.using(get_settings().database_of_schedules).filter(name=name).first()
    return CheckIn(slug_of(name), context.public_id, None if schedule is None else monitor_config(schedule))


def slug_of(name: str) -> str:
    """Return a schedule's name as the slug of a monitor: ``shop.digest`` is ``shop-digest``."""
    return slugify(re.sub(r"[^\w]+", "-", name))[:MAX_SLUG_LENGTH].strip("-_")


def monitor_config(schedule: CronSchedule) -> dict[str, Any] | None:
    """Return what makes or updates the monitor; None for times that Sentry cannot express."""
    times = _crontab(schedule) if schedule.cron else _interval(schedule.every)
    if times is None:
        return None
    config: dict[str, Any] = {
        "schedule": times,
        "checkin_margin": 1 + math.ceil(schedule.jitter / timedelta(minutes=1)),
        "max_runtime": _max_runtime(schedule),
    }
    if schedule.cron:
        config["timezone"] = schedule.timezone
    return config


def _crontab(schedule: CronSchedule) -> dict[str, Any] | None:
    expression = " ".join(ALIASES.get(schedule.cron.strip().lower(), schedule.cron.lower()).split())
    fields = expression.split()
    is_portable = len(fields) == 5 and all(
        _PORTABLE_FIELD.fullmatch(field) and all(map(_KNOWN_WORD.fullmatch, _WORD.findall(field))) for field in fields
    )
    return {"type": "crontab", "value": expression} if is_portable else None


def _interval(every: timedelta | None) -> dict[str, Any] | None:
    for unit, length in UNITS:
        if every is not None and not every % length:
            return {"type": "interval", "value": every // length, "unit": unit}
    return None


def _max_runtime(schedule: CronSchedule) -> int:
    """Return for how many minutes a job may be in progress: its attempts, if they have a timeout."""
    definition = registry.find(schedule.job_name)
    timeout: timedelta | None = None
    if definition is not None:
        timeout = definition.options.resolve("timeout", schedule.queue_name)
    minutes = math.ceil(timeout * schedule.max_attempts / timedelta(minutes=1)) if timeout else 0
    return max(DEFAULT_MAX_RUNTIME, minutes)
