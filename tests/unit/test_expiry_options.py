"""What ``expires`` and ``expires_at`` may be: a wrong one is refused, naming the job and what was expected."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

import django_jobs
from django_jobs import Batch, job, registry
from django_jobs.exceptions import ConfigurationError
from django_jobs.models import Job
from tests.sampleapp import jobs as sample

NAME = sample.do_nothing.name
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (datetime(2099, 1, 1), "expected an aware datetime, got the naive"),  # noqa: DTZ001 - that is the point
        (timedelta(0), "expected an aware datetime, or a timedelta or seconds, above zero, at most 3650 days"),
        (-HOUR, "expected an aware datetime, or a timedelta or seconds, above zero"),
        (-60, "expected an aware datetime, or a timedelta or seconds, above zero"),
        (timedelta(days=4000), "expected an aware datetime, or a timedelta or seconds, above zero"),
        (datetime(9999, 12, 31, tzinfo=UTC), "expected a year up to 9000"),
        ("tomorrow", "expected an aware datetime, or a timedelta or seconds, .*; got 'tomorrow'"),
    ],
)
def test_a_wrong_expiry_is_refused_by_using(given: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"{NAME}\.using\(expires_at\): {message}"):
        sample.do_nothing.using(expires_at=given)
    with pytest.raises(ConfigurationError, match=message):
        django_jobs.find_job(NAME).using(expires_at=given)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"expires_at": datetime(2020, 1, 1, tzinfo=UTC)}, "expected an instant in the future, got"),
        ({"expires_at": HOUR, "run_after": 2 * HOUR}, r"expected an instant after its run_after \(2:00:00\)"),
        (
            {"expires_at": HOUR, "run_after": datetime(2090, 1, 1, tzinfo=UTC)},
            "expected an instant after its run_after",
        ),
    ],
)
def test_one_with_which_it_could_never_begin_is_refused_by_the_enqueue(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"{NAME}\.using\(expires_at\): {message}"):
        sample.do_nothing.using(**options).enqueue()
    assert not Job.objects.exists()


@pytest.mark.parametrize("given", [0, -1, timedelta(0), timedelta(days=4000), "soon"])
def test_a_wrong_one_of_the_definition_is_refused(given: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"@job a\.b: expires: expected"):
        job(name="a.b", expires=given)(lambda: None)


def test_the_definition_takes_seconds_or_a_timedelta() -> None:
    try:
        for given in (90, timedelta(seconds=90)):
            definition = job(name=f"expiring.{type(given).__name__}", expires=given)(lambda: None)
            assert definition.options.expires == timedelta(seconds=90)
    finally:
        for name in ("expiring.int", "expiring.timedelta"):
            registry._definitions.pop(name, None)


@pytest.mark.django_db
def test_a_callback_expires_so_long_after_the_end_of_its_batch() -> None:
    at = timezone.now() + HOUR
    with pytest.raises(ConfigurationError, match="expected an expires_at that is a timedelta"):
        Batch(on_success=sample.do_nothing.using(expires_at=at).s())
    Batch(on_success=sample.do_nothing.using(expires_at=HOUR).s())
