"""``crontab`` and intervals of Celery as schedules of jobs, which fire at the same times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import pytest

from django_jobs.contrib.celery import Celery, UnsupportedError, crontab
from django_jobs.contrib.celery.schedules import schedule
from django_jobs.exceptions import ArgumentsError, ConfigurationError
from django_jobs.policy.cron import occurrences
from django_jobs.schedules import all_schedules


@pytest.mark.parametrize(
    ("given", "expression"),
    [
        ({}, "* * * * *"),
        ({"minute": 0, "hour": 9}, "0 9 * * *"),
        ({"minute": "*/15", "hour": {17, 8}}, "*/15 8,17 * * *"),
        ({"minute": [0, 30], "day_of_week": "Monday,fri"}, "0,30 * * * mon,fri"),
        ({"minute": 5, "hour": "8-17/2", "month_of_year": "january-march"}, "5 8-17/2 * jan-mar *"),
        ({"minute": 0, "hour": 0, "day_of_month": "*/2", "day_of_week": 1}, "0 0 */2 * 1"),
        ({"minute": 0, "hour": 0, "day_of_month": "1-7", "day_of_week": "mon"}, "0 0 * * 1#1"),
        ({"minute": 0, "hour": 0, "day_of_month": "1-7,15-21", "day_of_week": [1, 3]}, "0 0 * * 1#1,3#1,1#3,3#3"),
    ],
)
def test_crontab_is_an_expression(given: dict[str, Any], expression: str) -> None:
    assert crontab(**given).expression == expression


def test_both_day_fields_must_match_as_in_celery() -> None:
    def days(**given: Any) -> list[datetime]:
        expression = crontab(minute=0, hour=0, **given).expression
        return list(islice(occurrences(expression, zone="UTC", after=datetime(2030, 1, 1, tzinfo=UTC)), 60))

    first_mondays = days(day_of_month="1-7", day_of_week="mon")
    assert all(day.weekday() == 0 and day.day <= 7 for day in first_mondays)
    assert len({(day.year, day.month) for day in first_mondays}) == 60
    odd_mondays = days(day_of_month="*/2", day_of_week="mon")
    assert all(day.weekday() == 0 and day.day % 2 == 1 for day in odd_mondays)


SPECS: list[dict[str, Any]] = [
    {},
    {"minute": 0, "hour": "*/5"},
    {"minute": "*/17", "hour": "1-3,22-23"},
    {"minute": 3, "hour": 4, "day_of_week": "mon-fri"},
    {"minute": 3, "hour": 4, "day_of_week": "sunday"},
    {"minute": 3, "hour": 4, "day_of_week": [0, 6]},
    {"minute": 0, "hour": 0, "day_of_month": "2-30/3"},
    {"minute": 0, "hour": 0, "day_of_month": "*/2", "day_of_week": 1},
    {"minute": 0, "hour": 0, "day_of_month": "8-14,22-28", "day_of_week": "tue,sat"},
    {"minute": "10,20-30/5", "hour": 12, "month_of_year": "*/2"},
    {"minute": 0, "hour": 6, "month_of_year": "feb-mar", "day_of_month": {1, 15}},
]


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_a_crontab_fires_when_celerys_does(spec: dict[str, Any]) -> None:
    theirs = pytest.importorskip("celery.schedules").crontab(**spec)
    start = datetime(2030, 1, 1, tzinfo=UTC)
    minutes = [start + timedelta(minutes=number) for number in range(1, 100 * 24 * 60)]
    expected = [
        instant
        for instant in minutes
        if instant.minute in theirs.minute
        and instant.hour in theirs.hour
        and instant.isoweekday() % 7 in theirs.day_of_week
        and instant.day in theirs.day_of_month
        and instant.month in theirs.month_of_year
    ]
    fired = occurrences(crontab(**spec).expression, zone="UTC", after=start)
    assert expected
    limit = 5_000
    assert list(islice(fired, min(len(expected), limit))) == expected[:limit]


def test_days_that_cron_cannot_say_name_the_way() -> None:
    with pytest.raises(UnsupportedError, match="return early in the task"):
        crontab(day_of_month="1-5", day_of_week="mon").expression  # noqa: B018 - that is the test


def test_from_string() -> None:
    assert crontab.from_string("1 2 3 4 *").expression == "1 2 3 4 *"
    assert "1 2 3 4 5" in repr(crontab.from_string("1 2 3 4 5"))


def define(app: Celery, **entry: Any) -> Any:
    """Return the schedule that an entry of ``beat_schedule`` becomes."""

    @app.task(name="beat.task", bind=True)
    def task(self: Any, a: int, b: int = 0) -> None: ...

    app.conf.beat_schedule = {"beat entry": {"task": "beat.task", **entry}}
    app.finalize()
    return next(one for one in all_schedules() if one.name == "beat entry")


def test_entries_have_arguments_intervals_and_options(app: Celery) -> None:
    entry = define(app, schedule=30, args=(1,), kwargs={"b": 2}, options={"queue": "q", "priority": 4, "expires": 20})
    spec = entry.spec()
    assert (spec.arguments, spec.timing.every) == ({"a": 1, "b": 2}, timedelta(seconds=30))
    assert (spec.queue_name, spec.priority, spec.expires, spec.max_attempts) == ("q", 4, timedelta(seconds=20), 4)


def test_crontabs_are_in_the_time_zone_of_the_settings(app: Celery) -> None:
    app.conf.timezone = "Asia/Tokyo"
    timing = define(app, schedule=crontab(minute=0, hour=4), args=(1,)).spec().timing
    assert (timing.cron, timing.timezone) == ("0 4 * * *", "Asia/Tokyo")


@pytest.mark.parametrize(
    ("entry", "error", "text"),
    [
        ({"schedule": "soon", "args": (1,)}, ConfigurationError, "expected a crontab, a timedelta or seconds"),
        ({"schedule": 5, "args": (1,), "options": {"countdown": 3}}, UnsupportedError, "expires, priority, queue are"),
        ({"schedule": 5, "args": (1,), "every": 3}, ConfigurationError, "unknown key 'every'"),
        ({"schedule": 5, "args": (1,), "task": "gone"}, ConfigurationError, "no task is named 'gone'"),
        ({"schedule": 5}, ArgumentsError, "missing a required argument: 'a'"),
        ({"schedule": 0.1, "args": (1,)}, ConfigurationError, "every"),
    ],
)
def test_an_entry_that_cannot_fire_is_refused(app: Celery, entry: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        define(app, **entry)


def test_what_celery_has_besides_names_the_way() -> None:
    with pytest.raises(ImportError, match="solar is not supported here"):
        from django_jobs.contrib.celery.schedules import solar  # noqa: F401
    with pytest.raises(UnsupportedError, match="nowfun"):
        crontab(nowfun=datetime.now)
    with pytest.raises(UnsupportedError, match="nowfun"):
        schedule(5, nowfun=datetime.now)
