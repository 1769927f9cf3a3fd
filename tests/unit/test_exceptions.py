import ast
import math
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils.module_loading import import_string

import django_jobs
from django_jobs import Discard, Retry, Snooze, exceptions
from django_jobs.exceptions import JobsError, RateLimited
from django_jobs.policy.durations import MAX_DURATION
from django_jobs.policy.outcomes import UnraisedError
from tests.sources import parse


def test_every_error_of_ours_is_a_jobs_error_and_no_request_of_a_job_is():
    raised = [value for value in vars(exceptions).values() if isinstance(value, type) and issubclass(value, Exception)]

    assert {one.__name__ for one in raised if not issubclass(one, JobsError)} == {
        "Retry",
        "Cancel",
        "Discard",
        "RateLimited",
        "Snooze",
    }


def test_every_exception_is_public_and_explained():
    for name, value in vars(exceptions).items():
        if isinstance(value, type) and issubclass(value, Exception):
            assert name in exceptions.__all__
            assert value.__doc__


@pytest.mark.parametrize("path", UnraisedError)
def test_an_error_that_is_recorded_without_being_raised_is_one_of_ours(path):
    assert issubclass(import_string(path.value), JobsError | exceptions.Cancel)


def test_no_other_class_of_an_error_is_made_up():
    package = Path(django_jobs.__file__).parent
    literals = {
        f"{module.relative_to(package)}:{keyword.lineno}"
        for module in package.rglob("*.py")
        if "migrations" not in module.parts
        for call in ast.walk(parse(module))
        if isinstance(call, ast.Call)
        for keyword in call.keywords
        if keyword.arg == "error_class"
        and isinstance(keyword.value, ast.Constant | ast.JoinedStr)
        and ast.unparse(keyword.value) != "''"
    }
    assert not literals


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (django_jobs.exceptions.ConfigurationError, ValueError),
        (django_jobs.exceptions.UnknownJobError, LookupError),
        (django_jobs.exceptions.ArgumentsError, TypeError),
        (django_jobs.exceptions.SerializationError, ValueError),
        (django_jobs.exceptions.PayloadTooLargeError, django_jobs.exceptions.SerializationError),
        (django_jobs.exceptions.NoCurrentJobError, LookupError),
        (django_jobs.exceptions.WaitTimeoutError, TimeoutError),
    ],
)
def test_an_error_can_be_caught_as_the_builtin_that_it_is(error, builtin):
    assert issubclass(error, builtin)


@pytest.mark.parametrize(
    ("given", "delay"),
    [
        (5, timedelta(seconds=5)),
        (0, timedelta(0)),
        (1.5, timedelta(seconds=1.5)),
        (timedelta(1), timedelta(1)),
    ],
)
def test_a_delay_is_a_timedelta_or_seconds(given, delay):
    assert Retry(given).after == Retry(after=given).after == delay
    assert Snooze(given).delay == delay


def test_a_retry_without_a_wait_leaves_it_to_the_backoff():
    retry = Retry(reason="busy")

    assert retry.after is None
    assert str(retry) == retry.reason == "busy"


def test_a_discard_carries_its_reason():
    assert str(Discard("no such order")) == Discard("no such order").reason == "no such order"


@pytest.mark.parametrize("bad", ["5", True, [5], -1, timedelta(seconds=-1), math.nan, math.inf])
def test_a_delay_that_is_no_time_to_come_is_refused(bad):
    for ask in (Retry, Snooze, RateLimited):
        with pytest.raises(ValueError, match=rf"^{ask.__name__}: expected a timedelta or seconds, zero or more; got "):
            ask(bad)


@pytest.mark.parametrize("long", [timedelta.max, 1e300])
def test_a_delay_beyond_ten_years_is_reduced(long):
    assert Retry(long).after == Snooze(long).delay == MAX_DURATION
