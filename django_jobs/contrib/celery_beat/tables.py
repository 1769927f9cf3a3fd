"""The tables of django-celery-beat 2.x as models of a registry of their own, for reading only.

Its package needs Celery, and a Django that may be older than the project's; its rows need neither.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from django.apps.registry import Apps
from django.db import connections, models

from ...exceptions import ConfigurationError

_PREFIX = "django_celery_beat_"
_registry = Apps()


class PeriodicTask(models.Model):
    """One entry: a task with its arguments, and one of four kinds of times."""

    name = models.CharField(max_length=200)
    task = models.CharField(max_length=200)
    interval_id = models.IntegerField(null=True)
    crontab_id = models.IntegerField(null=True)
    solar_id = models.IntegerField(null=True)
    clocked_id = models.IntegerField(null=True)
    args = models.TextField()
    kwargs = models.TextField()
    queue = models.CharField(max_length=200, null=True)  # noqa: DJ001 - as it is
    exchange = models.CharField(max_length=200, null=True)  # noqa: DJ001
    routing_key = models.CharField(max_length=200, null=True)  # noqa: DJ001
    headers = models.TextField(null=True)  # noqa: DJ001
    priority = models.IntegerField(null=True)
    expires = models.DateTimeField(null=True)
    expire_seconds = models.IntegerField(null=True)
    one_off = models.BooleanField()
    start_time = models.DateTimeField(null=True)
    enabled = models.BooleanField()

    objects: ClassVar[models.Manager[Any]] = models.Manager()

    class Meta:
        apps = _registry
        app_label = "django_celery_beat"
        db_table = f"{_PREFIX}periodictask"
        managed = False

    def __str__(self) -> str:
        return self.name


class IntervalSchedule(models.Model):
    """``every`` so many of ``period``, such as ``minutes``."""

    every = models.IntegerField()
    period = models.CharField(max_length=24)

    class Meta:
        apps = _registry
        app_label = "django_celery_beat"
        db_table = f"{_PREFIX}intervalschedule"
        managed = False

    def __str__(self) -> str:
        return f"{self.every} {self.period}"


class CrontabSchedule(models.Model):
    """Fields in Celery's notation, and the zone in which they hold."""

    minute = models.CharField(max_length=240)
    hour = models.CharField(max_length=96)
    day_of_month = models.CharField(max_length=124)
    month_of_year = models.CharField(max_length=64)
    day_of_week = models.CharField(max_length=64)
    timezone = models.CharField(max_length=63)

    class Meta:
        apps = _registry
        app_label = "django_celery_beat"
        db_table = f"{_PREFIX}crontabschedule"
        managed = False

    def __str__(self) -> str:
        return f"{self.minute} {self.hour} {self.day_of_month} {self.month_of_year} {self.day_of_week}"


class ClockedSchedule(models.Model):
    """One instant."""

    clocked_time = models.DateTimeField()

    class Meta:
        apps = _registry
        app_label = "django_celery_beat"
        db_table = f"{_PREFIX}clockedschedule"
        managed = False

    def __str__(self) -> str:
        return str(self.clocked_time)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A task with its times, each None if it is of another kind."""

    task: PeriodicTask
    interval: IntervalSchedule | None
    crontab: CrontabSchedule | None
    clocked: ClockedSchedule | None


def read_entries(database: str) -> Iterator[Entry]:
    """Yield every entry, by name. Four statements. Raises ConfigurationError if the tables are not there."""
    if database not in connections:
        raise ConfigurationError(f"--database: expected an alias of DATABASES, got {database!r}")
    if PeriodicTask._meta.db_table not in connections[database].introspection.table_names():
        raise ConfigurationError(
            f"import-celery-beat: expected the tables of django-celery-beat in the database {database!r}; if they are"
            " in another one, give its alias by --database"
        )
    intervals, crontabs, clocked = (
        _all_by_id(model, database) for model in (IntervalSchedule, CrontabSchedule, ClockedSchedule)
    )
    for task in PeriodicTask.objects.using(database).order_by("name"):
        yield Entry(
            task=task,
            interval=intervals.get(task.interval_id),
            crontab=crontabs.get(task.crontab_id),
            clocked=clocked.get(task.clocked_id),
        )


def _all_by_id(model: Any, database: str) -> dict[int | None, Any]:
    return {row.pk: row for row in model.objects.using(database).all()}
