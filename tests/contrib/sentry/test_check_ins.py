"""The jobs of schedules check in with Sentry's monitors."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from django_jobs import Snooze, job, operations, schedule, schedules
from django_jobs.backoff import Constant
from django_jobs.contrib.sentry.check_ins import monitor_config, slug_of
from django_jobs.models import CronSchedule
from django_jobs.testing import drain, fire
from tests.factories import make_schedule

from .conftest import Sentry

pytestmark = pytest.mark.django_db
errors: list[BaseException | None] = []


@job(name="sentry.scheduled", max_attempts=3, backoff=Constant(timedelta(0)))
def scheduled() -> None:
    if error := errors.pop(0):
        raise error


@job(name="sentry.scheduled_async", max_attempts=1)
async def scheduled_async() -> None:
    return None


@pytest.fixture(autouse=True)
def _own_definitions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedules, "_definitions", {})


def told(sentry: Sentry) -> list[tuple[str, str]]:
    return [(found["monitor_slug"], found["status"]) for found in sentry.of("check_in")]


def test_one_check_in_from_the_first_attempt_to_the_end(reported: Sentry) -> None:
    schedule("shop.Nightly digest", scheduled, cron="30 3 * * mon-fri", timezone="Europe/Berlin")
    errors[:] = [RuntimeError("once"), Snooze(0), None]
    fire("shop.Nightly digest")
    assert drain(run_scheduled=True).succeeded == 1
    slug = "shop-nightly-digest"
    assert told(reported) == [(slug, "in_progress"), (slug, "in_progress"), (slug, "in_progress"), (slug, "ok")]
    assert len({found["check_in_id"] for found in reported.of("check_in")}) == 1
    assert reported.of("check_in")[0]["monitor_config"] == {
        "schedule": {"type": "crontab", "value": "30 3 * * mon-fri"},
        "timezone": "Europe/Berlin",
        "checkin_margin": 1,
        "max_runtime": 30,
    }
    assert reported.of("check_in")[-1]["duration"] >= 0


def test_the_last_failure_is_the_schedules(reported: Sentry) -> None:
    schedule("failing", scheduled, every=timedelta(hours=2))
    errors[:] = [RuntimeError("1"), RuntimeError("2"), RuntimeError("3")]
    fire("failing")
    assert drain().dead == 1
    assert [status for _, status in told(reported)] == ["in_progress"] * 3 + ["error"]
    assert reported.of("event")[0]["contexts"]["job"]["schedule"] == "failing"


def test_an_async_job_checks_in(reported: Sentry) -> None:
    schedule("async", scheduled_async, every=timedelta(minutes=90))
    fire("async")
    assert drain().succeeded == 1
    assert told(reported) == [("async", "in_progress"), ("async", "ok")]


def test_each_tick_is_a_check_in_of_its_own_and_a_copy_is_none(reported: Sentry) -> None:
    schedule("hourly", scheduled, every=timedelta(hours=1))
    errors[:] = [None, None, None]
    first = fire("hourly").job
    drain()
    assert first is not None
    operations.replay(first)
    drain()
    fire("hourly")
    drain()
    assert errors == []
    assert len({found["check_in_id"] for found in reported.of("check_in")}) == 2
    assert [status for _, status in told(reported)] == ["in_progress", "ok"] * 2


def test_schedules_can_be_left_out(sentry: Sentry) -> None:
    sentry.init(exclude_schedules=["quiet"])
    schedule("quiet", scheduled, every=timedelta(hours=1))
    errors[:] = [None]
    fire("quiet")
    drain()
    sentry.init(monitor_schedules=False)
    schedule("loud", scheduled, every=timedelta(hours=1))
    errors[:] = [None]
    fire("loud")
    drain()
    assert told(sentry) == []


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"cron": "@daily"}, {"type": "crontab", "value": "0 0 * * *"}),
        ({"cron": "*/15  8-18 1,15 JAN-jun *"}, {"type": "crontab", "value": "*/15 8-18 1,15 jan-jun *"}),
        ({"cron": "0 0 l * *"}, None),
        ({"cron": "0 0 * * fri#2"}, None),
        ({"cron": "r r * * *"}, None),
        ({"cron": "0 0 * * * 30"}, None),
        ({"cron": "", "every": timedelta(days=14)}, {"type": "interval", "value": 2, "unit": "week"}),
        ({"cron": "", "every": timedelta(days=1)}, {"type": "interval", "value": 1, "unit": "day"}),
        ({"cron": "", "every": timedelta(minutes=90)}, {"type": "interval", "value": 90, "unit": "minute"}),
        ({"cron": "", "every": timedelta(seconds=90)}, None),
    ],
)
def test_the_monitor_gets_times_that_sentry_can_express(options: dict[str, Any], expected: Any) -> None:
    row = make_schedule(**options)
    config = monitor_config(row)
    assert (config and config["schedule"]) == expected


def test_jitter_and_timeouts_widen_the_monitors_limits() -> None:
    slow: Any = job(name="sentry.slow", timeout=timedelta(minutes=20), max_attempts=3)(lambda: None)
    schedule("slow", slow, cron="0 3 * * *", jitter=timedelta(minutes=5))
    fire("slow")
    config = monitor_config(CronSchedule.objects.get(name="slow"))
    assert config is not None
    assert (config["checkin_margin"], config["max_runtime"]) == (6, 60)


def test_a_slug_is_what_sentry_takes() -> None:
    assert slug_of("shop.jobs.Send Digest!") == "shop-jobs-send-digest"
    assert len(slug_of("x" * 200)) == 50
