"""Schedules in code: what they come to, and what is refused at import, with file, line and name."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from django_jobs import job, registry, schedule, schedules
from django_jobs.definition import JobDefinition
from django_jobs.exceptions import ArgumentsError, ConfigurationError, SerializationError
from django_jobs.models import Job
from django_jobs.policy.overlap import Overlap
from django_jobs.policy.schedule import CatchUp
from django_jobs.schedules import all_schedules


@pytest.fixture(autouse=True)
def _own_registries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedules, "_definitions", {})
    monkeypatch.setattr(registry, "_definitions", {})


@job(name="poll", queue_name="slow", priority=3, max_attempts=2)
def poll(region: str, limit: int = 10) -> None:
    """Take arguments."""


def test_a_job_with_cron_has_a_schedule_of_its_own_name() -> None:
    @job(cron="0 9 * * 1", timezone="Europe/Berlin", overlap="queue", catch_up="all", catch_up_limit=3)
    def weekly_report() -> None: ...

    [definition] = all_schedules()
    assert definition.name == weekly_report.name
    assert definition.timing.cron == "0 9 * * 1"
    assert definition.timing.timezone == "Europe/Berlin"
    assert (definition.tick_policy.overlap, definition.tick_policy.catch_up) == (Overlap.QUEUE, CatchUp.ALL)
    assert definition.tick_policy.catch_up_limit == 3
    assert definition.arguments == {}


def test_a_job_without_has_none() -> None:
    @job
    def plain() -> None: ...

    assert all_schedules() == []


def test_a_schedule_has_arguments_and_the_jobs_own_queue() -> None:
    definition = schedule("poll-eu", poll, every=10, args={"region": "eu"}, jitter=timedelta(seconds=3))
    spec = definition.spec()
    assert (spec.name, spec.job_name, spec.arguments) == ("poll-eu", "poll", {"region": "eu"})
    assert (spec.queue_name, spec.priority, spec.max_attempts) == ("slow", 3, 2)
    assert (spec.timing.every, spec.timing.jitter) == (timedelta(seconds=10), timedelta(seconds=3))
    assert all_schedules() == [definition]


def test_values_that_are_no_json_are_encoded_as_at_an_enqueue() -> None:
    @job
    def remind(after: timedelta) -> None: ...

    definition = schedule("remind", remind, cron="@daily", args={"after": timedelta(days=1)})
    assert isinstance(definition.arguments["after"], dict)


def define(**options: Any) -> None:
    schedule("bad", poll, **{"args": {"region": "eu"}, **options})


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "expected either cron or every"),
        ({"cron": "@daily", "every": 10}, "expected either cron or every"),
        ({"cron": "61 * * * *"}, "cron: expected a cron expression, got '61"),
        ({"cron": "0 0 30 2 *"}, "cron: expected an expression that fires some day"),
        ({"cron": 5}, "cron: expected a text"),
        ({"every": 0.5}, "every: expected a period from 1 second"),
        ({"every": "10"}, "every: expected a timedelta or seconds, above zero, at most 3650 days; got '10'"),
        ({"cron": "@daily", "timezone": "Europe/Berln"}, "timezone: .*'Europe/Berln'"),
        ({"cron": "@daily", "timezone": None}, "timezone: .*None"),
        (
            {"cron": "@daily", "overlap": "perhaps"},
            "overlap: expected one of skip, queue, allow, replace, got 'perhaps'",
        ),
        ({"cron": "@daily", "catch_up": True}, "catch_up: expected one of latest, all, none, got True"),
        ({"cron": "@daily", "catch_up_limit": 0}, "catch_up_limit: expected a whole number"),
        ({"cron": "@daily", "catch_up_limit": "3"}, "catch_up_limit: expected a whole number, got '3'"),
        ({"cron": "@daily", "jitter": -1}, "jitter: expected"),
        ({"cron": "@daily", "catch_up": "all"}, "overlap: expected 'queue' or 'allow'"),
        ({"cron": "@daily", "at": 9}, "unknown option at .*; known are cron, every"),
    ],
)
def test_a_wrong_option_is_refused_naming_file_schedule_and_option(options: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"test_schedule_definitions\.py:\d+: schedule 'bad': .*{expected}"):
        define(**options)
    assert all_schedules() == []


@pytest.mark.parametrize(
    ("args", "error", "expected"),
    [
        ({}, ArgumentsError, "missing a required argument: 'region'"),
        ({"region": "eu", "zone": 5}, ArgumentsError, "zone"),
        ({"region": object()}, SerializationError, "argument 'region'"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(args: dict[str, Any], error: type[Exception], expected: str) -> None:
    with pytest.raises(error, match=rf"py:\d+: schedule 'bad': .*{expected}"):
        schedule("bad", poll, cron="@daily", args=args)


def test_a_job_that_needs_arguments_cannot_be_scheduled_without() -> None:
    with pytest.raises(ArgumentsError, match=r"test_schedule_definitions\.py:\d+: schedule .*'user_id'"):

        @job(cron="@daily")
        def mail(user_id: int) -> None: ...


def test_what_is_no_job_cannot_be_scheduled() -> None:
    with pytest.raises(ConfigurationError, match="expected a function with @job"):
        schedule("bad", print, cron="@daily")  # type: ignore[arg-type]


@pytest.mark.parametrize("given", [poll.using(priority=9), poll.after(Job(pk=1))])
def test_a_job_with_options_that_a_schedule_would_drop_is_refused(given: JobDefinition[..., None]) -> None:
    with pytest.raises(ConfigurationError, match=r"py:\d+: schedule 'bad': expected a job without using"):
        schedule("bad", given, cron="@daily", args={"region": "eu"})
    assert all_schedules() == []


@pytest.mark.parametrize("name", ["", "x" * 201, " padded ", "line\nbreak"])
def test_a_name_must_be_printable(name: str) -> None:
    with pytest.raises(ConfigurationError, match="expected a name of 1 to 200"):
        schedule(name, poll, cron="@daily", args={"region": "eu"})


def test_two_schedules_cannot_have_one_name_but_a_module_may_be_imported_again() -> None:
    for _ in range(2):
        schedule("same", poll, cron="@daily", args={"region": "eu"})
    with pytest.raises(ConfigurationError, match=r"there is one of this name already, at .*py:\d+"):
        schedule("same", poll, cron="@daily", args={"region": "eu"})


def test_the_decorator_refuses_what_it_does_not_know() -> None:
    with pytest.raises(
        ConfigurationError,
        match=r"unknown option retries \(did you mean .*\); known are name, .*cron, every",
    ):
        job(retries=3)  # type: ignore[call-overload]
