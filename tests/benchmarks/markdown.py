"""Print what one job costs as tables in Markdown, or write them into the page of the docs that has a place for each.

The place is between two comments that name the vendor; a page keeps the tables of databases that were not measured.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .goals import GOALS, Figures, Goal, goals_of, ratio, read
from .names import MESSAGES
from .options import Options
from .report import bound, machine, title_of
from .rows import RATE, RATIO, ROWS, broker_rows, number

MEASURES_OF_THE_PAGE = (
    "enqueue",
    "enqueue_many",
    "latency",
    "latency_quiet",
    "latency_redis",
    "idle",
    "connections",
    "memory",
    "start",
    "drain",
    "drain_two_processes",
    "chunks",
    *MESSAGES,
)
HEAD = "| | engine | plain | ratio | goal |\n|---|---:|---:|---:|---|"
BEGIN, END = "<!-- figures: {vendor} -->", "<!-- end of figures -->"
COMPARED = {
    "engine": "{bound}",
    "ratio": "ratio {bound}",
    "over": "{bound} over plain",
    "to_drain": "{bound} of the drain's rate",
}


def as_markdown(measured: Mapping[str, Any], options: Options) -> str:
    """Return a table a database."""
    tables = ("\n".join(_table(vendor, result, options)) for vendor, result in measured.items() if result)
    return "\n\n".join(tables)


def write_into(page: Path, measured: Mapping[str, Any], options: Options) -> None:
    """Put the table of each database between its comments. Raises ValueError where the page has none for it."""
    text = page.read_text()
    for vendor, result in measured.items():
        if result is None:
            continue
        begin = BEGIN.format(vendor=vendor)
        place = re.compile(rf"(?<={re.escape(begin)}\n).*?(?={re.escape(END)})", re.DOTALL)
        if not place.search(text):
            raise ValueError(f"{page}: expected {begin} and {END} around the figures")
        table = "\n".join(_table(vendor, result, options))
        text = place.sub(lambda _, table=table: f"\n{table}\n\n", text, count=1)
    page.write_text(text)


def _table(vendor: str, result: Mapping[str, Any], options: Options) -> Iterator[str]:
    told = ", ".join(f"{name} {value}" for name, value in machine().items())
    rounds = "one round" if options.rounds == 1 else f"medians of {options.rounds} rounds"
    yield f"{result['version']}; {told}; {rounds}.\n\n{HEAD}"
    for name in result["measures"]:
        if name in MEASURES_OF_THE_PAGE:
            yield from _rows(vendor, name, title_of(name, options).strip(), result["measures"])


def _rows(vendor: str, name: str, title: str, measures: Figures) -> Iterator[str]:
    engine, limit = measures[name]["engine"], measures[name].get("limit", {})
    if name in MESSAGES:
        yield from _broker_rows(vendor, name, title, measures)
        return
    for at, row in enumerate(ROWS.get(name, RATE)):
        value, plain = engine.get(row.figure), limit.get(row.figure)
        if value is None:
            continue
        compared = ratio(value, plain)
        cells = (
            f"{title}, {row.title or 'jobs/s'}" if at == 0 else f"&emsp;{row.title}",
            number(value),
            "" if plain is None else number(plain),
            "" if compared is None else number(compared),
            "; ".join(_told(goal, measures) for goal in GOALS if _is_about(goal, vendor, name, row.figure)),
        )
        yield f"| {' | '.join(cells)} |"


def _broker_rows(vendor: str, name: str, title: str, measures: Figures) -> Iterator[str]:
    engine = measures[name]["engine"]
    goals = [one for goal in GOALS for one in goals_of(goal, measures)]
    yield f"| {title} |  |  |  |  |"
    for row in broker_rows(engine):
        value, plain = engine[row.figure], engine[f"{row.figure}_plain"]
        told = "; ".join(_told(goal, measures) for goal in goals if _is_about(goal, vendor, name, row.figure + RATIO))
        yield f"| &emsp;{row.title.strip()} | {number(value)} | {number(plain)} | {number(value / plain)} | {told} |"


def _is_about(goal: Goal, vendor: str, measure: str, figure: str) -> bool:
    return (goal.vendor, goal.measure, goal.figure) == (vendor, measure, figure)


def _told(goal: Goal, measures: Figures) -> str:
    value = read(goal, measures)
    wanted = COMPARED[goal.reading].format(bound=bound(goal))
    if value is None:
        return f"{wanted}: not measured"
    return f"{wanted}: reached" if goal.met(value) else f"{wanted}: **missed**"
