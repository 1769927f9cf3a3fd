"""``jobs top`` printed: what it says, cut to a size, without characters that act on a terminal, in colours or not."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError

from django_jobs.management.top import run
from django_jobs.management.top.colored import render_colored
from django_jobs.management.top.plain import columns_of, cut, render_plain
from django_jobs.management.top.view import Table, View, make_view
from django_jobs.policy.health_sentence import Severity
from django_jobs.policy.states import State
from django_jobs.store.stats.dashboard import dashboard_snapshot
from django_jobs.store.stats.rollup import roll_up
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def _once(*options: str) -> str:
    out = StringIO()
    call_command("jobs", "top", "--once", *options, stdout=out)
    return out.getvalue()


@pytest.fixture
def busy() -> None:
    worker = factories.make_worker(hostname="web-1", pid=7, concurrency=4, queues=["mail"])
    factories.make_job(
        State.RUNNING, name="shop.new", worker=worker, started_at=factories.ago(minutes=1), queue_name="mail"
    )
    factories.make_job(
        State.RUNNING, name="shop.old", worker=worker, started_at=factories.ago(minutes=9), queue_name="mail",
        progress_done=1, progress_total=4,
    )  # fmt: skip
    factories.make_job(queue_name="mail", ready_at=factories.ago(seconds=90))
    factories.make_job(queue_name="reports")
    factories.make_letter(error_class="shop.NoCard", job_name="shop.pay")
    for _ in range(2):
        roll_up(min_age=timedelta(0))


@pytest.mark.usefixtures("busy")
def test_it_prints_health_queues_runs_workers_and_errors() -> None:
    text = _once()
    assert "problem: 1 queue has ready jobs and no worker: reports" in text
    assert "warning: 1 job died in the last hour" in text
    assert re.search(r"^mail +1 +1 min 3\d s +2 +0\.0", text, re.MULTILINE)
    assert text.index("shop.old") < text.index("shop.new"), "the longest first"
    assert re.search(r"shop\.old +mail +web-1:7 +9 min \d+ s +1/4$", text, re.MULTILINE)
    assert re.search(r"web-1:7 +running +mail +2/4", text)
    assert re.search(r"^NoCard +shop\.pay +1 +\d", text, re.MULTILINE)


def test_an_empty_service_says_what_to_do() -> None:
    text = _once()
    assert "problem: No workers are running" in text
    assert "no dead letters" in text


@pytest.mark.usefixtures("busy")
def test_as_json_it_has_the_same() -> None:
    view = json.loads(_once("--json"))
    assert [one["severity"] for one in view["health"]] == ["problem", "warning"]
    assert [one["queue"] for one in view["queues"]] == ["mail", "reports"]
    assert view["running"][0]["job"] == "shop.old"
    assert view["newest_errors"][0]["error"] == "NoCard"


HOSTILE = "a\x1b[2Jb\nc\u202ed"


def test_text_of_a_job_does_not_act_on_the_terminal() -> None:
    worker = factories.make_worker(hostname=HOSTILE)
    factories.make_job(State.RUNNING, name=HOSTILE, worker=worker, queue_name=HOSTILE)
    factories.make_letter(error_class=HOSTILE, job_name="[red]markup[/red]")
    view = make_view(dashboard_snapshot(), note="")
    plain = "\n".join(render_plain(view, width=None))
    colored = COLOURS.sub("", "\n".join(render_colored(view, width=300)))
    for text in (plain, colored):
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert r"a␛[2Jb␊c\u202ed" in text
        assert "[red]markup[/red]" in text


def _long_view() -> View:
    rows = [(f"queue {at}", "9" * 300) for at in range(40)]
    table = Table(title="Queues", columns=("queue", "waiting"), rows=rows)
    short = Table(title="Workers", columns=("id",), rows=[("1",)])
    return View(heading="x" * 300, sentences=[(Severity.PROBLEM, "y" * 300)], tables=[table, short])


@pytest.mark.parametrize("height", [20, 24, 60])
def test_a_view_fits_the_screen_the_longest_table_is_cut(height: int) -> None:
    view = _long_view().fit(height)
    queues, workers = view.tables
    assert (len(queues.rows) + queues.more, workers.more) == (40, 0)
    for lines in (render_plain(view, width=60), render_colored(view, width=60)):
        assert len(lines) == view.height <= height
        assert max(columns_of(COLOURS.sub("", line)) for line in lines) <= 60
        said = any(COLOURS.sub("", line) == f"and {queues.more} more" for line in lines)
        assert said is (queues.more > 0)


def test_on_a_screen_that_is_too_low_each_table_keeps_a_row() -> None:
    assert [len(table.rows) for table in _long_view().fit(3).tables] == [1, 1]


@pytest.mark.parametrize(("text", "shown"), [("abcdef", "abcd"), ("日本語", "日本"), ("e\u0301" * 5, "e\u0301" * 4)])
def test_a_line_is_cut_by_the_columns_that_it_takes(text: str, shown: str) -> None:
    assert cut(text, 4) == shown


def test_an_interval_that_is_no_time_is_refused() -> None:
    for given in ("0", "-1", "x", "nan", "1e9"):
        with pytest.raises(CommandError, match=r"--interval: expected seconds from 0\.1 to 3600"):
            call_command("jobs", "top", "--interval", given)


def test_a_database_that_fails_meanwhile_is_said_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: Any) -> None:
        raise OperationalError("gone away")

    monkeypatch.setattr(run, "dashboard_snapshot", fail)
    ((severity, text),) = run.read_view("every 2 s").sentences
    assert severity is Severity.PROBLEM
    assert "cannot be used: gone away" in text
    monkeypatch.undo()
    assert "No workers" in run.read_view("every 2 s").sentences[0][1]
