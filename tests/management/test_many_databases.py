"""``manage.py jobs`` over several databases: verbs that show are about all of them, or about the one of --database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_jobs.conf.database import use_database
from django_jobs.management import doctor
from django_jobs.management.top.run import read_joint_view
from django_jobs.models import Job
from tests.more_databases import known
from tests.sampleapp.jobs import do_nothing, echo

pytestmark = pytest.mark.usefixtures("eu_and_us")

ALIASES = ["default", "eu", "us"]


def jobs(*arguments: str) -> str:
    out = StringIO()
    call_command("jobs", *arguments, stdout=out)
    return out.getvalue()


def failing(*arguments: str) -> str:
    """Return what a command prints that exits with 1."""
    out = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("jobs", *arguments, stdout=out)
    assert ended.value.code == 1
    return out.getvalue()


@pytest.fixture
def enqueued(eu_and_us: dict[str, Any]) -> dict[str, list[Job]]:
    """One, two and three jobs."""
    return {
        alias: [do_nothing.using(database=alias).enqueue() for _ in range(number)]
        for number, alias in enumerate(ALIASES, 1)
    }


@pytest.fixture
def _eu_is_down(eu_and_us: dict[str, Any], tmp_path: Path) -> Iterator[None]:
    """Have a database that cannot be opened."""
    gone = {**eu_and_us["eu"], "NAME": str(tmp_path / "no folder" / "eu")}
    with known({"asia": gone}, DATABASES=["default", "asia", "us"]):
        yield


@pytest.fixture
def _all_are_down(eu_and_us: dict[str, Any], tmp_path: Path) -> Iterator[None]:
    gone = {**eu_and_us["eu"], "NAME": str(tmp_path / "no folder" / "eu")}
    with known({"asia": gone, "africa": gone}, DATABASES=["asia", "africa"]):
        yield


def cells(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


@pytest.mark.usefixtures("enqueued")
def test_status_has_the_sums_and_a_section_of_each() -> None:
    text = jobs("status")
    lines = cells(text)
    ready = lines[0].index("ready")
    sums = {line[0]: line[ready] for line in lines[1:5]}
    assert sums == {"default": "1", "eu": "2", "us": "3", "all": "6"}
    assert [line for line in text.splitlines() if line.startswith("--")] == [f"-- database {one} --" for one in ALIASES]
    status = json.loads(jobs("status", "--json"))
    assert {alias: one["queues"][0]["ready"] for alias, one in status.items()} == {"default": 1, "eu": 2, "us": 3}
    with use_database("eu"):
        assert set(status["eu"]) == set(json.loads(jobs("status", "--database", "eu", "--json")))


@pytest.mark.usefixtures("enqueued")
def test_with_an_alias_it_is_the_status_of_one_as_ever() -> None:
    assert json.loads(jobs("status", "--database", "eu", "--json"))["queues"][0]["ready"] == 2
    assert "-- database" not in jobs("status", "--database", "eu")


def test_list_merges_the_newest_jobs() -> None:
    order = ["us", "default", "eu", "us", "default"]
    made = [do_nothing.using(database=alias).enqueue() for alias in order]
    for seconds, one in enumerate(made):
        at = made[0].enqueued_at + timedelta(seconds=seconds)
        Job.objects.using(one._state.db).filter(pk=one.pk).update(enqueued_at=at)
    ids = [str(one.public_id) for one in made]
    newest = ids[:0:-1]
    assert [line[0] for line in cells(jobs("list", "--limit", "4"))[1:]] == newest
    grouped = json.loads(jobs("list", "--limit", "4", "--json"))
    assert {alias: [row["id"] for row in rows] for alias, rows in grouped.items()} == {
        alias: [one for one in newest if one.startswith(f"{alias}:")] for alias in ALIASES
    }
    assert [row["id"] for row in json.loads(jobs("list", "--database", "us", "--json"))] == [ids[3], ids[0]]


def test_the_doctor_names_the_database_of_each_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    for alias in ("default", "us"):
        job = echo.using(database=alias).enqueue("x")
        Job.objects.using(alias).filter(pk=job.pk).update(arguments={"wrong": 1})
    calls = []

    def counted() -> Iterator[Any]:
        calls.append(1)
        return check_brokers()

    check_brokers = doctor.check_brokers
    monkeypatch.setattr(doctor, "check_brokers", counted)
    found = json.loads(failing("doctor", "--json"))
    assert list(found) == ALIASES
    about = {alias: [one["what"] for one in all_ if "TypeError" in one["what"]] for alias, all_ in found.items()}
    assert [len(about[alias]) for alias in ALIASES] == [1, 0, 1]
    assert len(calls) == 1
    lines = failing("doctor").splitlines()
    assert [line.split()[2] for line in lines if "TypeError" in line] == ["'default':", "'us':"]
    severities = [line.split()[0] for line in lines if line.startswith(("problem", "hint"))]
    assert severities == sorted(severities, reverse=True)
    del calls[:]
    with suppress(SystemExit):  # a file that is no copy of the project's settings has problems of its own
        jobs("doctor", "--database", "eu")
    assert calls == [], "its database has no brokers"


@pytest.mark.usefixtures("_eu_is_down")
def test_a_database_that_is_down_is_named_and_the_others_are_shown() -> None:
    job = do_nothing.using(database="us").enqueue()
    text = jobs("status")
    assert text.startswith("problem: the database 'asia'")
    assert "-- database us --" in text
    assert "all" not in [line[0] for line in cells(text) if line]
    status = json.loads(jobs("status", "--json"))
    assert list(status) == ["default", "asia", "us"]
    assert "cannot be used" in status["asia"]["error"]
    listed = jobs("list")
    assert listed.startswith("problem: the database 'asia'")
    assert str(job.public_id) in listed
    assert "problem  database 'asia': server: the database 'asia'" in failing("doctor")


@pytest.mark.usefixtures("_all_are_down")
@pytest.mark.parametrize("verb", ["status", "list", "top"])
def test_if_all_are_down_the_command_fails(verb: str) -> None:
    with pytest.raises(CommandError, match=r"(?s)database 'asia'.*cannot be used.*database 'africa'.*cannot be used"):
        jobs(verb)


@pytest.mark.parametrize("verb", ["status", "list", "doctor"])
def test_one_database_alone_is_read_by_the_same_statements(verb: str) -> None:
    counts = []
    for several in (["default"], ["default"], ["default", "eu", "us"]):  # the first run of a process reads more, once
        with known({}, DATABASES=several), CaptureQueriesContext(connection) as captured, suppress(SystemExit):
            jobs(verb)
        counts.append(len(captured))
    assert counts[1] == counts[2]


@pytest.mark.usefixtures("enqueued")
def test_top_has_the_sums_and_the_database_of_each_row() -> None:
    text = jobs("top", "--once")
    assert "waiting 6 " in text.splitlines()[0]
    assert text.count("QUEUES") == 1
    rows = [line[:3] for line in cells(text) if line[1:2] == ["default"]]
    assert rows == [["default", "default", "1"], ["eu", "default", "2"], ["us", "default", "3"]]
    for alias in ALIASES:
        assert f"problem: {alias}: No workers are running" in text
    views = json.loads(jobs("top", "--once", "--json"))
    assert {alias: one["queues"][0]["waiting"] for alias, one in views.items()} == {
        "default": "1",
        "eu": "2",
        "us": "3",
    }
    assert set(views["eu"]) == set(json.loads(jobs("top", "--once", "--json", "--database", "eu")))


@pytest.mark.usefixtures("_eu_is_down")
def test_top_shows_the_others_of_one_that_is_down() -> None:
    do_nothing.using(database="us").enqueue()
    text = jobs("top", "--once")
    assert "waiting 1 " in text.splitlines()[0]
    assert "problem: asia: the database 'asia'" in text
    assert ["us", "default", "1"] in [line[:3] for line in cells(text)]


@pytest.mark.usefixtures("_all_are_down")
def test_top_that_has_begun_goes_on_if_all_are_down() -> None:
    view = read_joint_view("every 2 s")
    assert (view.heading, view.tables) == ("every 2 s", [])
    assert [text.split(":")[0] for _, text in view.sentences] == ["asia", "africa"]
