"""Every option and setting that is a duration takes a timedelta or seconds, and refuses the same values alike.

The inventory is made by walking the types of options, settings and public calls, so that a new duration that is not
read like the others fails here.
"""

from __future__ import annotations

import inspect
import math
import types
import typing
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from datetime import timedelta
from typing import Any

import pytest

import django_jobs
from django_jobs import (
    Batch,
    JobDefinition,
    backoff,
    job,
    limits,
    operations,
    registry,
    schedule,
    schedules,
    testing,
    uniqueness,
)
from django_jobs.conf import Settings, read_settings
from django_jobs.conf.fields import declarations
from django_jobs.models import Job
from django_jobs.options import JobKeywords, ScheduleOptions, UsingOptions
from django_jobs.policy.durations import MAX_DURATION
from django_jobs.testing.drain import DrainOptions

SETTINGS = "DJANGO_JOBS"
NO_DURATIONS = [math.nan, math.inf, -math.inf, True, "5", [], 1e300, 86_400 * 3_651, timedelta.max, -86_400 * 3_651]
BELOW_ZERO = [-1, -0.5, timedelta(seconds=-1)]


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_definitions", dict(registry._definitions))
    monkeypatch.setattr(schedules, "_definitions", {})


def work() -> None:
    """Do nothing."""


def defined(**options: Any) -> JobDefinition[..., Any]:
    return job(name="tests.duration", **options)(work)


def durations_in(kind: type) -> Iterator[str]:
    """Yield the names of the fields, or keys, of ``kind`` that are durations."""
    hints = typing.get_type_hints(kind)
    names = [field.name for field in fields(kind)] if is_dataclass(kind) else list(hints)
    yield from (name for name in names if timedelta in parts(hints[name]))


def parts(hint: Any) -> set[Any]:
    """Return the types that a union is made of; what is inside of a callable or a list is another matter."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return set().union(*(parts(part) for part in typing.get_args(hint)))
    return {hint}


def setting(group: str, key: str, *, beside: dict[str, Any] | None = None) -> Callable[[Any], Any]:
    """Return what reads one setting of a group and returns it as it is kept."""

    def read(value: Any) -> Any:
        settings = read_settings({group.upper(): {**(beside or {}), spelled(group, key): value}})
        return getattr(getattr(settings, group), key)

    return read


def spelled(group: str, key: str) -> str:
    spell = declarations(Settings)[group].spell
    assert spell is not None
    return spell(key)


def of_queue(**options: Any) -> Any:
    return read_settings({"QUEUES": {"mail": options}}).queues["mail"]


LAX_HEARTBEAT = {"HEARTBEAT_INTERVAL": 0.001}
BESIDE = {"stale_after": LAX_HEARTBEAT, "heartbeat_interval": {"STALE_AFTER": MAX_DURATION}}
"""What two settings need beside them: one is at least twice the other."""


def of_settings() -> dict[str, Callable[[Any], Any]]:
    """Return a reader of each setting that is a duration."""
    found = {}
    for group, declaration in declarations(Settings).items():
        if declaration.spell is not None:
            for key in durations_in(type(getattr(Settings(), group))):
                found[f"{SETTINGS}.{group}.{key}"] = setting(group, key, beside=BESIDE.get(key))
    return found


OPTIONS: dict[str, Callable[[Any], Any]] = {
    **of_settings(),
    f"{SETTINGS}.queues.timeout": lambda given: of_queue(timeout=given)["timeout"],
    f"{SETTINGS}.queues.backoff": lambda given: of_queue(backoff=given)["backoff"].delay,
    f"{SETTINGS}.job_defaults.backoff": lambda given: setting("job_defaults", "backoff")(given).delay,
    "JobKeywords.timeout": lambda given: defined(timeout=given).options.timeout,
    "JobKeywords.expires": lambda given: defined(expires=given).options.expires,
    "JobKeywords.result_ttl": lambda given: defined(result_ttl=given).options.result_ttl,
    "JobKeywords.backoff": lambda given: defined(backoff=given).options.backoff.delay,
    "JobKeywords.backoff[]": lambda given: defined(backoff=[given]).options.backoff.waits[0],
    "JobKeywords.every": lambda given: scheduled(every=given).timing.every,
    "JobKeywords.jitter": lambda given: scheduled(cron="@yearly", jitter=given).timing.jitter,
    "ScheduleOptions.every": lambda given: schedule("s", defined(), every=given).timing.every,
    "ScheduleOptions.jitter": lambda given: schedule("s", defined(), cron="@yearly", jitter=given).timing.jitter,
    "UsingOptions.run_after": lambda given: defined().using(run_after=given).enqueue_options["run_after"],
    "UsingOptions.expires_at": lambda given: defined().using(expires_at=given).enqueue_options["expires_at"],
    "UsingOptions.idempotency_window": (
        lambda given: defined().using(idempotency_window=given).enqueue_options["idempotency_window"]
    ),
    "Exponential.first": lambda given: backoff.Exponential(first=given, maximum=MAX_DURATION).first,
    "Exponential.maximum": lambda given: backoff.Exponential(first=0.001, maximum=given).maximum,
    "Linear.first": lambda given: backoff.Linear(first=given, maximum=MAX_DURATION).first,
    "Linear.step": lambda given: backoff.Linear(step=given).step,
    "Linear.maximum": lambda given: backoff.Linear(first=0, maximum=given).maximum,
    "Constant.delay": lambda given: backoff.Constant(given).delay,
    "RateLimit.per": lambda given: limits.RateLimit(1, per=given).per,
    "CircuitBreaker.within": lambda given: limits.CircuitBreaker(failures=1, within=given).within,
    "CircuitBreaker.open_for": lambda given: limits.CircuitBreaker(failures=1, open_for=given).open_for,
    "Unique.debounce": lambda given: uniqueness.Unique(debounce=given).debounce,
    "Unique.max_wait": lambda given: uniqueness.Unique(max_wait=given).max_wait,
}  # fmt: skip
"""By the name of the option: gives it a value and returns what was kept."""

CALLS: dict[str, Callable[[Any], Any]] = {
    "Retry.after": lambda given: django_jobs.Retry(given).after,
    "Snooze.delay": lambda given: django_jobs.Snooze(given).delay,
    "ChunkItem.retry.after": lambda given: failed_item("retry", given).after,
    "ChunkItem.snooze.delay": lambda given: failed_item("snooze", given).delay,
    "RateLimited.retry_after": lambda given: django_jobs.exceptions.RateLimited(given).delay,
    "Job.wait.timeout": lambda given: Job(state="succeeded").wait(timeout=given),
    "Batch.wait.timeout": lambda given: Batch().wait(timeout=given),
    "dashboard_snapshot.period": lambda given: operations.dashboard_snapshot(period=given),
    "DrainOptions.until": lambda given: testing.drain(until=given),
    "working.timeout": lambda given: testing.working(timeout=given).__enter__(),
}
"""Durations given while a program runs. A wait that a job asks for is reduced to ten years instead of refused."""

MAY_BE_PAST = {"UsingOptions.run_after"}
"""An instant: one that is past is due at once."""
FROM_A_SECOND = {"JobKeywords.every", "ScheduleOptions.every"}
REDUCED = {"Retry.after", "Snooze.delay", "ChunkItem.retry.after", "ChunkItem.snooze.delay", "RateLimited.retry_after"}


def failed_item(mark: str, wait: Any) -> Any:
    item = django_jobs.ChunkItem(1)
    getattr(item, mark)(wait)
    return item.error


def scheduled(**options: Any) -> Any:
    defined(**options)
    return schedules._definitions.pop("tests.duration")


def public_calls() -> Iterator[tuple[str, inspect.Signature]]:
    """Yield every public function, constructor of an exception and method of a public class, by a short name."""
    places = [django_jobs, django_jobs.exceptions, operations, testing]
    found = {value for place in places for name in place.__all__ if callable(value := getattr(place, name))}
    for value in sorted({*found, Job}, key=lambda value: value.__name__):
        if not isinstance(value, type):
            yield value.__name__, inspect.signature(value)
            continue
        if issubclass(value, Exception) and inspect.isfunction(value.__init__):
            yield value.__name__, inspect.signature(value.__init__)
        for name, method in vars(value).items():
            if inspect.isfunction(method) and not name.startswith("_"):
                yield f"{value.__name__}.{name}", inspect.signature(method)


def test_every_duration_is_in_the_inventory() -> None:
    option_classes = [
        value
        for place in (backoff, limits, uniqueness)
        for name in place.__all__
        if is_dataclass(value := getattr(place, name))
    ]
    found = {
        f"{kind.__name__}.{name}"
        for kind in [JobKeywords, ScheduleOptions, UsingOptions, *option_classes]
        for name in durations_in(kind)
    }
    named = {name for name in OPTIONS if not name.startswith(SETTINGS) and not name.endswith("[]")}
    assert found == named
    assert len(of_settings()) > 20

    calls = {
        f"{call}.{name}"
        for call, signature in public_calls()
        for name, parameter in signature.parameters.items()
        if "timedelta" in str(parameter.annotation) or "Duration" in str(parameter.annotation)
    }
    assert calls | {f"DrainOptions.{name}" for name in durations_in(DrainOptions)} == set(CALLS)


def test_every_type_of_a_duration_that_is_given_has_seconds_too() -> None:
    option_classes = [getattr(place, name) for place in (backoff, limits, uniqueness) for name in place.__all__]
    for kind in (JobKeywords, ScheduleOptions, UsingOptions, *filter(is_dataclass, option_classes)):
        hints = typing.get_type_hints(kind)
        for name in durations_in(kind):
            assert float in parts(hints[name]), f"{kind.__name__}.{name}"


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("given", [2, 2.5, timedelta(seconds=2.5), timedelta(days=300)])
def test_a_timedelta_and_seconds_are_kept_as_a_timedelta(option: str, given: Any) -> None:
    if option == "Unique.max_wait":
        unique = uniqueness.Unique(debounce=2, max_wait=given)
        assert defined(unique=unique).options.unique.rule.max_wait == unique.max_wait
    kept = OPTIONS[option](given)
    assert (type(kept), kept) == (timedelta, given if isinstance(given, timedelta) else timedelta(seconds=given))


@pytest.mark.parametrize("option", OPTIONS)
def test_what_is_no_duration_is_refused_naming_the_option_and_the_value(option: str) -> None:
    below = [] if option in MAY_BE_PAST else BELOW_ZERO
    for bad in [*NO_DURATIONS, *below, *([0.5] if option in FROM_A_SECOND else [])]:
        if "backoff" in option and bad == []:
            continue
        with pytest.raises(ValueError, match=r"expected (an aware datetime, or )?a |expected Exp") as caught:
            OPTIONS[option](bad)
        assert option.removesuffix("[]").rpartition(".")[2] in str(caught.value).lower()
        assert "got " in str(caught.value)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("bad", [math.nan, math.inf, True, "5", -1, timedelta(seconds=-1)])
def test_a_call_refuses_what_is_no_duration(call: str, bad: Any) -> None:
    with pytest.raises(ValueError, match=r"expected a timedelta or seconds, .* got "):
        CALLS[call](bad)


@pytest.mark.parametrize("call", CALLS)
def test_a_duration_beyond_ten_years_is_refused_by_a_call_unless_a_job_asks_for_it(call: str) -> None:
    if call in REDUCED:
        assert CALLS[call](1e300) == CALLS[call](timedelta.max) == MAX_DURATION
    else:
        with pytest.raises(ValueError, match="at most 3650 days"):
            CALLS[call](1e300)


@pytest.mark.parametrize("past", BELOW_ZERO)
def test_a_job_that_was_due_before_now_is_due_at_once(past: Any) -> None:
    from django_jobs.enqueueing import new_job

    assert new_job(defined().using(run_after=past)).delay_seconds == 0


def test_a_subclass_of_timedelta_is_kept_as_the_class_itself() -> None:
    class Odd(timedelta):
        def total_seconds(self) -> float:
            return math.nan

    kept = backoff.Constant(Odd(seconds=5)).delay
    assert (type(kept), kept) == (timedelta, timedelta(seconds=5))
