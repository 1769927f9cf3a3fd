"""A crontab of Celery as cron: the same minutes, hours and days, or an error with the reason."""

from __future__ import annotations

import pytest

from django_jobs.policy.celery_crontab import to_cron
from django_jobs.policy.cron import CronError

STARS = {"minute": "*", "hour": "*", "day_of_month": "*", "month_of_year": "*", "day_of_week": "*"}


@pytest.mark.parametrize(
    ("fields", "cron"),
    [
        ({}, "* * * * *"),
        ({"minute": "0, 30", "hour": "*/6"}, "0,30 */6 * * *"),
        ({"minute": "0-59"}, "* * * * *"),
        ({"minute": "5-50/15"}, "5,20,35,50 * * * *"),
        ({"hour": "22-2"}, "* 0-2,22-23 * * *"),
        ({"day_of_week": "fri-mon"}, "* * * * 0-1,5-6"),
        ({"day_of_week": "Monday,wednesday"}, "* * * * 1,3"),
        ({"day_of_week": "7"}, "* * * * 7"),
        ({"day_of_week": "0-6", "day_of_month": "1"}, "* * 1 * *"),
        ({"day_of_month": "*/5", "month_of_year": "1-12/3"}, "* * */5 1,4,7,10 *"),
    ],
)
def test_fields_are_written_as_cron_reads_them(fields: dict[str, str], cron: str) -> None:
    assert to_cron(**{**STARS, **fields}) == cron


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"day_of_month": "13", "day_of_week": "fri"}, "must both match in Celery"),
        ({"minute": "60"}, "minute: expected 0 to 59, got '60'"),
        ({"day_of_week": "someday"}, "day_of_week: expected 0 to 6, got 'someday'"),
        ({"hour": "1-"}, "hour: expected numbers, ranges and steps"),
        ({"hour": "*/0"}, "hour: expected a step of 1 or more"),
    ],
)
def test_what_cron_cannot_say_is_an_error(fields: dict[str, str], problem: str) -> None:
    with pytest.raises(CronError, match=problem):
        to_cron(**{**STARS, **fields})


@pytest.mark.parametrize("minute", ["*", "*/7", "0,30", "10-50/20", "58-3"])
@pytest.mark.parametrize("weekday", ["*", "fri-mon", "1-5", "sun,wed"])
def test_celery_reads_the_same_times_in_both(minute: str, weekday: str) -> None:
    schedules = pytest.importorskip("celery.schedules")
    given = schedules.crontab(minute=minute, day_of_week=weekday)

    fields = to_cron(**{**STARS, "minute": minute, "day_of_week": weekday}).split()

    ours = schedules.crontab(minute=fields[0], day_of_week=fields[4])
    assert (ours.minute, ours.day_of_week) == (given.minute, given.day_of_week)
