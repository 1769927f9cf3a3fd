"""Options of tasks and calls of Celery, as options of jobs; what cannot be said is an error that names the way."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from django_jobs.contrib.celery import Celery, Task, UnsupportedError, shared_task
from django_jobs.contrib.celery.backoff import backoff_seconds
from django_jobs.contrib.celery.conf import Conf
from django_jobs.contrib.celery.options import (
    TASK_UNSUPPORTED,
    UNSUPPORTED,
    WITHOUT_EFFECT,
    Route,
    find_route,
    rate_limit,
    using_options,
)
from django_jobs.exceptions import ConfigurationError
from django_jobs.policy.limits import RateLimit

_numbers = count()


def options(app: Celery, **given: Any) -> Any:
    """Return the options of the job of a task with these options."""
    return app.task(name=f"some.task{next(_numbers)}", **given)(lambda: None).job.options


def test_a_task_has_the_defaults_of_celery(app: Celery) -> None:
    found = options(app)
    assert (found.max_attempts, found.retry_on, found.queue_name, found.priority, found.timeout) == (
        4,
        (),
        None,
        None,
        None,
    )
    assert (Task.max_retries, Task.default_retry_delay, Task.retry_backoff_max, Task.retry_jitter) == (
        3,
        180,
        600,
        True,
    )


@pytest.mark.parametrize(
    ("given", "attempts"),
    [
        ({"max_retries": 0}, 1),
        ({"max_retries": 3}, 4),
        ({"max_retries": None}, 10_000),
        ({"max_retries": 5, "autoretry_for": (KeyError,), "retry_kwargs": {"max_retries": 2}}, 3),
        ({"max_retries": 5, "retry_kwargs": {"max_retries": 2}}, 6),
    ],
)
def test_retries_are_attempts_less_one(app: Celery, given: dict[str, Any], attempts: int) -> None:
    assert options(app, **given).max_attempts == attempts


@pytest.mark.parametrize(
    ("given", "seconds"),
    [({"time_limit": 60}, 60), ({"soft_time_limit": 30}, 30), ({"soft_time_limit": 30, "time_limit": 60}, 30)],
)
def test_the_soft_limit_is_the_timeout(app: Celery, given: dict[str, Any], seconds: float) -> None:
    assert options(app, **given).timeout == timedelta(seconds=seconds)


def test_a_soft_limit_above_the_hard_one_is_refused(app: Celery) -> None:
    with pytest.raises(ConfigurationError, match="soft_time_limit of at most the time_limit, got 90 and 60"):
        options(app, soft_time_limit=90, time_limit=60)


@pytest.mark.parametrize(
    ("rate", "count", "per"),
    [("10/s", 10, 1), ("100/m", 100, 60), ("5/h", 5, 3600), (7, 7, 1), ("3", 3, 1), (0.5, 1, 2), ("0.5/m", 1, 120)],
)
def test_rates_are_limits(rate: Any, count: int, per: float) -> None:
    assert rate_limit("task", rate) == RateLimit(count, per=timedelta(seconds=per), counts_from="start")


@pytest.mark.parametrize("rate", ["10/d", "many", "-1/s", "0/s"])
def test_a_rate_that_celery_does_not_know_is_refused(rate: str) -> None:
    with pytest.raises(ConfigurationError, match="expected a rate such as '10/s'"):
        rate_limit("task", rate)


def test_no_rate_is_no_limit() -> None:
    assert rate_limit("task", None) is None
    assert rate_limit("task", 0) is None


ROUTES: Any = [
    {"shop.mail.*": {"queue": "mail", "priority": 3}, "shop.exact": "exact"},
    (re.compile(r"(video|image)\..*"), {"queue": "media"}),
]


@pytest.mark.parametrize(
    ("name", "route"),
    [
        ("shop.mail.send", Route("mail", 3)),
        ("shop.exact", Route("exact")),
        ("video.cut", Route("media")),
        ("other", Route()),
    ],
)
def test_routes_are_found_by_name_pattern_and_expression(name: str, route: Route) -> None:
    assert find_route(name, ROUTES) == route


def test_routes_that_are_functions_or_exchanges_name_the_way() -> None:
    with pytest.raises(UnsupportedError, match=r"apply_async\(queue="):
        find_route("a", lambda name, *args: None)
    with pytest.raises(UnsupportedError, match="name a queue"):
        find_route("a", {"a": {"routing_key": "x"}})


def test_settings_stand_behind_options(app: Celery) -> None:
    app.conf.update(
        task_default_queue="main", task_time_limit=9, task_default_priority=2, task_default_rate_limit="5/m",
        task_routes={"some.*": "routed"},
    )  # fmt: skip
    app.finalize()
    found = options(app)
    assert (found.queue_name, found.priority, found.timeout) == ("routed", 2, timedelta(seconds=9))
    assert [limit.count for limit in found.limits] == [5]
    own = app.task(name="some.other", queue="own", priority=8, time_limit=3, rate_limit="1/s")(lambda: None).job.options
    assert (own.queue_name, own.priority, own.timeout) == ("own", 8, timedelta(seconds=3))
    assert [limit.count for limit in own.limits] == [1]


def test_options_of_job_go_to_job_options(app: Celery) -> None:
    found = options(app, job_options={"concurrency": 2, "timeout": 5})
    assert found.timeout == timedelta(seconds=5)
    assert [limit.limit for limit in found.limits] == [2]


def test_options_of_a_call_become_those_of_using() -> None:
    conf = Conf()
    conf.timezone = "Europe/Berlin"
    naive = datetime(2030, 7, 1, 12)  # noqa: DTZ001 - that is the case
    found = using_options("task", {"eta": naive, "expires": 60, "queue": "q", "priority": 5, "headers": {"a": 1}}, conf)
    assert found == {
        "run_after": datetime(2030, 7, 1, 12, tzinfo=ZoneInfo("Europe/Berlin")),
        "expires_at": 60,
        "queue_name": "q",
        "priority": 5,
        "metadata": {"a": 1},
    }
    aware = datetime(2030, 7, 1, 12, tzinfo=UTC)
    assert using_options("task", {"countdown": 3, "eta": aware, "queue": None}, conf) == {"run_after": 3}
    assert using_options("task", {"retry": True, "compression": "gzip", "serializer": "json"}, conf) == {}


@pytest.mark.parametrize("option", sorted(UNSUPPORTED))
def test_an_option_of_a_call_that_is_not_there_names_the_way(app: Celery, option: str) -> None:
    @app.task
    def something() -> None: ...

    way = re.escape(UNSUPPORTED[option])
    with pytest.raises(UnsupportedError, match=way):
        something.apply_async(**{option: "x"})
    with pytest.raises(UnsupportedError, match=way):
        something.s().set(**{option: "x"})


@pytest.mark.parametrize("option", sorted(TASK_UNSUPPORTED))
def test_an_option_of_a_task_that_is_not_there_names_the_way(app: Celery, option: str) -> None:
    with pytest.raises(UnsupportedError, match=re.escape(TASK_UNSUPPORTED[option])):
        options(app, **{option: "x"})


def test_pickle_is_refused_wherever_it_is_asked_for(app: Celery) -> None:
    @app.task
    def something() -> None: ...

    with pytest.raises(UnsupportedError, match="expected 'json', got 'pickle'"):
        options(app, serializer="pickle")
    with pytest.raises(UnsupportedError, match="expected 'json', got 'pickle'"):
        something.apply_async(serializer="pickle")
    other = Celery("other")
    other.conf.task_serializer = "pickle"
    with pytest.raises(UnsupportedError, match="the setting task_serializer: expected 'json', got 'pickle'"):
        other.finalize()


def test_an_unknown_option_of_a_call_lists_the_known(app: Celery) -> None:
    @app.task
    def something() -> None: ...

    with pytest.raises(ConfigurationError, match=r"unknown option 'cuntdown'; known are countdown, eta, expires"):
        something.apply_async(cuntdown=3)


def test_options_without_effect_change_no_job(app: Celery) -> None:
    assert options(app, **dict.fromkeys(WITHOUT_EFFECT, None)) == options(app)
    assert options(app, acks_late=True, ignore_result=True, compression="zlib", serializer="json") == options(app)


def test_any_other_option_is_an_attribute_as_in_celery(app: Celery) -> None:
    assert app.task(shop="bakery")(lambda: None).shop == "bakery"


def test_async_functions_and_generators_are_refused() -> None:
    async def asynchronous() -> None: ...

    def generator() -> Any:
        yield

    with pytest.raises(UnsupportedError, match="got async def; @job runs those"):
        shared_task(asynchronous)
    with pytest.raises(UnsupportedError, match="without yield"):
        shared_task(generator)


@pytest.mark.parametrize("retries", range(12))
def test_backoff_doubles_up_to_the_maximum(retries: int) -> None:
    def wait(*, full_jitter: bool, random: Random) -> int:
        return backoff_seconds(factor=1, retries=retries, maximum=600, full_jitter=full_jitter, random=random)

    top = min(600, 2**retries)
    assert wait(full_jitter=False, random=Random(1)) == top
    random = Random(7)
    waits = {wait(full_jitter=True, random=random) for _ in range(5000)}
    assert min(waits) == 0
    assert max(waits) <= top
    assert len(waits) > min(top, 300)


def test_backoff_of_many_retries_is_the_maximum_and_no_huge_number() -> None:
    assert backoff_seconds(factor=5, retries=10**6, maximum=600, full_jitter=False, random=Random()) == 600
