"""Jobs that staff may schedule, and problems of the rows they write."""

from __future__ import annotations

from typing import Any

import pytest
from django.core import checks
from django.test import override_settings

from django_jobs.exceptions import ArgumentsError, ConfigurationError, UnknownJobError
from django_jobs.schedules import (
    check_stored_arguments,
    find_problem,
    get_schedulable_job,
    schedulable_jobs,
)
from tests.factories import make_schedule
from tests.sampleapp import jobs as sample

pytestmark = pytest.mark.django_db


def test_only_jobs_that_opted_in_can_be_scheduled() -> None:
    assert sample.digest in schedulable_jobs()
    assert sample.echo not in schedulable_jobs()
    assert get_schedulable_job(sample.digest.name) is sample.digest
    with pytest.raises(ConfigurationError, match=r"schedulable=True.*SCHEDULABLE"):
        get_schedulable_job(sample.echo.name)
    with pytest.raises(UnknownJobError, match=r"'os\.system' is not registered"):
        get_schedulable_job("os.system")


@override_settings(DJANGO_JOBS={"SCHEDULABLE": ["tests.sampleapp.jobs.echo"]})
def test_the_settings_can_name_more() -> None:
    assert get_schedulable_job(sample.echo.name) is sample.echo


def test_arguments_are_checked_against_the_signature() -> None:
    assert check_stored_arguments(sample.digest, {"limit": 3}) == {"limit": 3}
    for wrong in ({"limits": 3}, [1], "x", None):
        with pytest.raises(ArgumentsError):
            check_stored_arguments(sample.digest, wrong)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({}, ""),
        ({"job_name": "gone"}, "job 'gone' is not registered"),
        ({"job_name": "tests.sampleapp.jobs.echo"}, "may not be scheduled by staff"),
        ({"arguments": {"colour": "red"}}, "colour"),
        ({"cron": "x"}, "cron: expected five fields"),
        ({"timezone": "x"}, "timezone"),
        ({"overlap": "x"}, "'x' is not a valid Overlap"),
        ({"catch_up_limit": 0}, "catch_up_limit"),
    ],
)
def test_a_row_is_checked_against_the_current_code(fields: dict[str, Any], problem: str) -> None:
    verdict = find_problem(make_schedule(**fields))
    assert problem in verdict
    assert bool(verdict) == bool(problem)


def test_the_check_names_rows_that_cannot_fire() -> None:
    make_schedule("good")
    make_schedule("bad", job_name="gone")
    make_schedule("codes own", job_name="gone", is_from_code=True)
    found = checks.run_checks(tags=[checks.Tags.database], databases=["default"])
    [message] = [message for message in found if message.id == "django_jobs.W002"]
    assert message.msg.startswith("Schedule 'bad' cannot fire: job 'gone' is not registered")
    assert not [message for message in checks.run_checks() if message.id == "django_jobs.W002"], "no database was named"
