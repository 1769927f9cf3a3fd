"""``manage.py jobs schedules`` and ``jobs tick``."""

from __future__ import annotations

import json
import re
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from django_jobs import schedules
from django_jobs.models import CronSchedule, Job, Tick
from django_jobs.schedules import define_schedule
from django_jobs.store.clock import database_now
from tests.concurrency import run_together
from tests.factories import ago, make_job, make_schedule, make_tick, make_worker
from tests.sampleapp import jobs as sample

pytestmark = pytest.mark.django_db(transaction=True)


def _jobs(*arguments: str) -> str:
    out = StringIO()
    call_command("jobs", *arguments, stdout=out, stderr=out)
    return out.getvalue()


def _json(*arguments: str) -> Any:
    return json.loads(_jobs(*arguments, "--json"))


def test_schedules_are_listed_with_their_newest_tick() -> None:
    row = make_schedule("report", cron="0 9 * * 1", timezone="Europe/Berlin")
    make_tick(row, due_at=ago(hours=2), outcome="missed")
    job = make_job()
    make_tick(row, due_at=ago(hours=1), job=job)
    make_schedule("paused", paused_at=database_now(), next_due_at=None)
    make_schedule("broken", problem="job 'x' is not registered", next_due_at=None)
    broken, paused, report = _json("schedules")
    assert (report["when"], report["meaning"], report["timezone"]) == (
        "0 9 * * 1",
        "At 09:00 on Monday",
        "Europe/Berlin",
    )
    assert (report["last_outcome"], report["last_job"], report["status"]) == ("fired", job.pk, "active")
    assert (paused["status"], broken["status"]) == ("paused", "broken")
    text = _jobs("schedules")
    assert "broken does not fire: job 'x' is not registered" in text
    assert "0 9 * * 1" in text


def test_nothing_to_list_and_nothing_to_fire_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedules, "_definitions", {})
    assert "no schedules" in _jobs("schedules")
    assert _jobs("tick").strip() == "0 fired, 0 waiting, 0 skipped, 0 missed"


def test_tick_syncs_the_code_and_fires_due_schedules_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedules, "_definitions", {})
    define_schedule("own", sample.do_nothing, arguments={}, options={"every": 3_600}, origin="here")
    make_schedule("due")
    make_schedule("bad", job_name="gone")
    assert _json("tick") == {"fired": 1, "waiting": 0, "skipped": 0, "missed": 0, "problems": []}
    assert CronSchedule.objects.get(name="own").is_from_code
    assert CronSchedule.objects.get(name="bad").problem
    assert _json("tick")["fired"] == 0
    assert Job.objects.count() == 1


def test_tick_is_safe_from_many_places_at_once() -> None:
    for number in range(20):
        make_schedule(f"s{number}")
    run_together(*[lambda: _jobs("tick")] * 4)
    assert Tick.objects.count() == Job.objects.count() == 20


def test_prune_deletes_old_ticks_too(settings: Any) -> None:
    settings.DJANGO_JOBS = {"RETENTION": {"TICKS": 3_600}}
    row = make_schedule(next_due_at=None)
    for hours in (5, 3, 0):
        make_tick(row, due_at=ago(hours=hours), decided_at=ago(hours=hours))
    make_tick(row, due_at=ago(hours=9), decided_at=ago(hours=9), outcome="waiting", is_open=True)
    _jobs("prune")
    assert sorted(Tick.objects.values_list("outcome", flat=True)) == ["fired", "waiting"]


def test_health_says_that_nobody_fires_what_is_due() -> None:
    make_worker()
    make_schedule("late", next_due_at=ago(minutes=6))
    make_schedule("soon", next_due_at=ago(minutes=4))
    assert _json("health", "--max-wait", "400")["ok"]
    out = StringIO()
    with pytest.raises(SystemExit):
        call_command("jobs", "health", stdout=out)
    said = r"1 schedule is late, by up to 6 min \d+ s: late\. No scheduler fires it\."
    assert re.fullmatch(said, out.getvalue().strip())
