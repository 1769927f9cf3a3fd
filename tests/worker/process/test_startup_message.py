"""What a worker says when it starts."""

from __future__ import annotations

import re

import pytest
from django.test import override_settings

from django_jobs.functions.discovery import undiscovered
from django_jobs.worker.options import PROCESSES, WorkerOptions
from django_jobs.worker.process.startup_message import startup_message

ONE = "sample.named"


def test_the_jobs_that_views_define_in_the_supervisor_alone_are_not_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ONE in startup_message(WorkerOptions())[3]
    monkeypatch.setitem(undiscovered, ONE, "shop.views")
    assert ONE not in startup_message(WorkerOptions())[3]


def test_jobs_of_the_engine_are_not_listed_among_the_projects() -> None:
    assert "django_jobs." not in startup_message(WorkerOptions())[3]


def test_the_release_is_said_if_there_is_one() -> None:
    assert not any("release" in line for line in startup_message(WorkerOptions()))
    with override_settings(DJANGO_JOBS={"RELEASE": "4f2c1a"}):
        assert startup_message(WorkerOptions())[1] == "  release    4f2c1a"


@pytest.mark.parametrize(
    ("options", "most"),
    [
        (WorkerOptions(), 11),
        (WorkerOptions(concurrency=8, processes=2), 30),
        (WorkerOptions(pool=PROCESSES), 10),
        (WorkerOptions(schedules=False), 10),
        (WorkerOptions(works=False), 6),
    ],
)
def test_the_most_connections_are_said(options: WorkerOptions, most: int) -> None:
    (line,) = (line for line in startup_message(options) if line.startswith("  sessions"))
    assert line.startswith(f"  sessions   up to {most} connections to the database: ")
    # The formula is one: its value is the number.
    formula = line.partition("database: ")[2].replace("x", "*")
    assert eval(re.sub(r"[a-z ]+", "", formula)) == most
