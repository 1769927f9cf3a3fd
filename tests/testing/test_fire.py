"""A test fires a schedule by the engine's own rules."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from asgiref.sync import async_to_sync

from django_jobs import JobDefinition, current_job, job, registry, schedule, schedules
from django_jobs.exceptions import ConfigurationError
from django_jobs.models import CronSchedule, Tick
from django_jobs.policy.schedule import TickOutcome
from django_jobs.testing import afire, drain, fire
from tests.factories import make_schedule
from tests.sampleapp import jobs as sample

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _own_definitions(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(registry, "_definitions", dict(registry._definitions))
    monkeypatch.setattr(schedules, "_definitions", {})
    return


def due(name: str = "testing.due", **options: Any) -> JobDefinition[[], Any]:
    definition: JobDefinition[[], Any] = job(name=name, every=timedelta(hours=1), **options)(
        lambda: current_job().due_at
    )
    return definition


def test_a_schedule_of_code_is_fired_by_its_definition_its_name_or_its_job() -> None:
    nightly = schedule("nightly", sample.add, args={"first": 3}, cron="0 3 * * *")
    hourly = due()
    ticks = [fire(nightly), fire(hourly)]
    drain()
    ticks += [fire("nightly"), fire("testing.due")]
    assert [tick.outcome for tick in ticks] == [TickOutcome.FIRED] * 4
    assert [tick.job.name for tick in ticks if tick.job] == [sample.add.name, hourly.name] * 2
    drain()
    added, told = [tick.job for tick in ticks[:2]]
    assert added is not None
    assert added.refresh().result == 3
    assert told is not None
    assert told.refresh().result == ticks[1].due_at


def test_the_times_of_the_schedule_stay() -> None:
    due()
    fire("testing.due")
    row = CronSchedule.objects.get(name="testing.due")
    next_due_at = row.next_due_at
    assert next_due_at is not None
    assert next_due_at > datetime.now(UTC)
    drain()
    fire("testing.due")
    row.refresh_from_db()
    assert (row.next_due_at, Tick.objects.count()) == (next_due_at, 2)


def test_overlap_is_decided_as_for_any_tick() -> None:
    for overlap in ("skip", "queue", "allow", "replace"):
        due(f"testing.{overlap}", overlap=overlap)
    first = {name: fire(f"testing.{name}") for name in ("skip", "queue", "allow", "replace")}
    second = {name: fire(f"testing.{name}") for name in first}
    assert {name: str(tick.outcome) for name, tick in second.items()} == {
        "skip": "skipped",
        "queue": "waiting",
        "allow": "fired",
        "replace": "fired",
    }
    assert (second["skip"].job, "has not ended" in second["skip"].reason) == (None, True)
    replaced = first["replace"].job
    assert replaced is not None
    assert replaced.refresh().state == "cancelled"


def test_two_ticks_may_be_fired_while_the_clock_stands_still() -> None:
    due(overlap="allow")
    with time_machine.travel("2031-05-06 07:00Z", tick=False):
        first, second = fire("testing.due"), fire("testing.due")
    assert [tick.outcome for tick in (first, second)] == [TickOutcome.FIRED] * 2
    assert second.due_at - first.due_at == timedelta(microseconds=1)


def test_the_tick_of_this_call_is_returned_also_when_the_clock_has_gone_back() -> None:
    due(overlap="allow")
    with time_machine.travel("2031-05-06 07:00Z", tick=False):
        later = fire("testing.due")
    before = fire("testing.due")
    assert before.due_at < later.due_at
    assert before.job_id not in {None, later.job_id}


def test_a_schedule_of_staff_is_fired_too() -> None:
    row = make_schedule("by staff")
    assert async_to_sync(afire)(row).outcome == TickOutcome.FIRED
    drain()
    assert fire("by staff").outcome == TickOutcome.FIRED


def test_a_misspelt_name_is_refused_with_the_nearest() -> None:
    due("testing.nightly")
    with pytest.raises(ConfigurationError, match=r"no schedule is named 'x'; known are .*testing\.nightly"):
        fire("x")
    with pytest.raises(ConfigurationError, match=r"no schedule is named 'testing\.nihgtly'; did you mean 'testing\.ni"):
        fire("testing.nihgtly")


def test_a_disabled_schedule_does_not_fire() -> None:
    row = make_schedule("disabled", disabled_at=datetime.now(UTC))
    with pytest.raises(ConfigurationError, match="disabled"):
        fire(row)
