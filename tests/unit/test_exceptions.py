import math
from datetime import timedelta

import pytest

import django_jobs
from django_jobs import Discard, Retry, Snooze, exceptions
from django_jobs.exceptions import JobsError


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
    assert Retry(after=given).after == delay
    assert Snooze(given).delay == delay


def test_a_retry_without_a_wait_leaves_it_to_the_backoff():
    retry = Retry(reason="busy")

    assert retry.after is None
    assert str(retry) == retry.reason == "busy"


def test_a_discard_carries_its_reason():
    assert str(Discard("no such order")) == Discard("no such order").reason == "no such order"


@pytest.mark.parametrize("bad", ["5", True, [5]])
def test_a_delay_of_another_type_is_refused(bad):
    with pytest.raises(TypeError, match="Retry: expected a timedelta or seconds, got"):
        Retry(after=bad)
    with pytest.raises(TypeError, match="Snooze: expected a timedelta or seconds, got"):
        Snooze(bad)


@pytest.mark.parametrize("bad", [-1, timedelta(seconds=-1), math.nan, math.inf])
def test_a_delay_that_is_no_time_to_come_is_refused(bad):
    with pytest.raises(ValueError, match="Retry: expected a delay of zero or more, got"):
        Retry(after=bad)
    with pytest.raises(ValueError, match="Snooze: expected a delay of zero or more, got"):
        Snooze(bad)
