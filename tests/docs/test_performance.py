"""The page about performance tells each row of its tables, and has a place for each database's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.goals import GOALS
from tests.benchmarks.markdown import MEASURES_OF_THE_PAGE, as_markdown, write_into
from tests.benchmarks.names import MEASURES, MESSAGES
from tests.benchmarks.options import Options, parse
from tests.benchmarks.report import as_table
from tests.benchmarks.rows import RATE, ROWS
from tests.databases import ROOT, VENDORS

PAGE = ROOT / "docs" / "performance.md"


def _measured(**figures: dict[str, Any]) -> dict[str, Any]:
    return {"postgresql": {"version": "PostgreSQL 15", "measures": figures}}


def test_each_measure_of_the_tables_is_told_on_the_page() -> None:
    assert set(re.findall(r"--only (\w+)`", PAGE.read_text())) == set(MEASURES_OF_THE_PAGE)
    assert set(MEASURES_OF_THE_PAGE) <= set(MEASURES)


def test_each_goal_is_about_a_row_of_the_table() -> None:
    rows = {(measure, row.figure) for measure in MEASURES for row in ROWS.get(measure, RATE)}
    others = {"unique", "pages", "snapshot", *MESSAGES}  # figures of a column, of a table of its own, of each broker
    assert {(goal.measure, goal.figure) for goal in GOALS if goal.measure not in others} <= rows


def test_a_table_is_written_into_its_place_and_the_others_are_kept(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE.read_text())
    measured = _measured(enqueue={"engine": {"jobs_per_second": 800.0}, "limit": {"jobs_per_second": 1_000.0}})
    for _ in range(2):
        write_into(page, measured, Options(rounds=3))

    written, before = page.read_text(), PAGE.read_text()
    assert _place(written, "postgresql").count("medians of 3 rounds") == 1
    assert _outside(written) == _outside(before)


def _place(text: str, vendor: str) -> str:
    found = re.search(rf"<!-- figures: {vendor} -->(.*?)<!-- end of figures -->", text, re.DOTALL)
    assert found, f"no place for {vendor}"
    return found[1]


def _outside(text: str) -> str:
    return re.sub(r"(?<=<!-- figures: postgresql -->).*?(?=<!-- end)", "", text, count=1, flags=re.DOTALL)


@pytest.mark.parametrize("vendor", VENDORS)
def test_each_database_has_a_place(vendor: str) -> None:
    assert _place(PAGE.read_text(), vendor)


def test_a_row_has_its_figures_their_ratio_and_whether_the_goal_is_reached() -> None:
    measured = _measured(
        enqueue={
            "engine": {"jobs_per_second": 800.0, "server_us": 300.0},
            "limit": {"jobs_per_second": 1_000.0, "server_us": 200.0},
        },
        idle={"engine": {"statements_per_second": None, "cpu_percent": 0.25}},
    )
    rows = as_markdown(measured, Options()).splitlines()

    assert "| enqueue one at a time, autocommit, jobs/s | 800 | 1,000 | 0.80 | ratio at least 0.70: reached |" in rows
    assert "| &emsp;server's CPU of one, us | 300 | 200 | 1.50 | ratio at most 1.40: **missed** |" in rows
    assert "| &emsp;CPU, % of a core | 0.25 |  |  | at most 0.30: reached |" in rows
    table = as_table(measured, {"mysql": "no server"}, Options())
    assert re.search(r"enqueue to limit +0\.80 +at least 0\.70 +reached", table)
    assert re.search(r"statements/s +not counted", table)


def test_each_broker_that_was_measured_has_its_row_and_its_goal() -> None:
    kafka = {"kafka": 9_000.0, "kafka_plain": 15_000.0, "kafka_ratio": 0.6, "kafka_us": 30.0, "kafka_us_plain": 10.0}
    new = {"new": 900.0, "new_plain": 15_000.0, "new_ratio": 0.06, "new_us": None, "new_us_plain": 10.0}
    measured = _measured(consume_log={"engine": kafka | new})
    rows = as_markdown(measured, Options()).splitlines()

    assert "| &emsp;kafka, messages/s | 9,000 | 15,000 | 0.60 | at least 0.50: reached |" in rows
    assert "| &emsp;CPU of one here, us | 30 | 10 | 3 |  |" in rows
    assert "| &emsp;new, messages/s | 900 | 15,000 | 0.06 | at least 0.50: **missed** |" in rows
    table = as_table(measured, {}, Options())
    assert re.search(r"consuming to enqueue_many: kafka +0\.60 +at least 0\.50 +reached", table)
    assert re.search(r"consuming to enqueue_many: new +0\.06 +at least 0\.50 +missed", table)
    assert re.search(r"kafka, messages/s +9,000 +15,000 +0\.60", table)


def test_the_tables_measures_are_chosen_on_the_command_line() -> None:
    assert parse(["--markdown"], measures=list(MEASURES)).markdown == "-"
    assert parse(["--markdown", "docs/performance.md"], measures=list(MEASURES)).markdown == "docs/performance.md"
