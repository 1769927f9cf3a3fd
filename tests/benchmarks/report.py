"""Print the figures: a table of at most 110 columns, or JSON, and the goals beside what was reached."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from tests.databases import TITLES

from .goals import Goal, reached
from .names import MEASURES
from .options import Options
from .rows import HEAD, Cells, cells, number

WIDTHS = (46, 12, 12, 8, 10, 11, 9)


def as_json(measured: Mapping[str, Any], skipped: Mapping[str, str], options: Options) -> str:
    """Return everything, the rounds included."""
    return json.dumps(
        {
            "machine": machine(),
            "sizes": asdict(options.sizes),
            "rounds": options.rounds,
            "databases": measured,
            "skipped": skipped,
            "goals": [{**asdict(goal), "reached": value, "met": goal.met(value)} for goal, value in reached(measured)],
        },
        indent=2,
    )


def as_table(measured: Mapping[str, Any], skipped: Mapping[str, str], options: Options) -> str:
    """Return a table a database, what was skipped, and the goals."""
    lines = [", ".join(f"{name} {value}" for name, value in machine().items())]
    lines.append("Jobs a second, or as said. Ratio: engine to limit; of rates more is better, of all else less.")
    lines.append(
        "'to plain': to the plain measure; 'last/first': the rate of the last tenth of the jobs to the first's."
    )
    for vendor, result in measured.items():
        if result is None:
            lines += ["", f"{TITLES[vendor]}: failed, see above"]
            continue
        lines += ["", result["version"], _line(HEAD), "-" * sum(WIDTHS)]
        for name in result["measures"]:
            lines += map(_line, cells(name, title_of(name, options), result["measures"]))
    for vendor, reason in skipped.items():
        lines += ["", f"{TITLES[vendor]}: skipped, {reason}"]
    return "\n".join([*lines, "", "Goals", *_goals(measured)])


def title_of(measure: str, options: Options) -> str:
    """Return what the table calls a measure, with the numbers of this run."""
    return MEASURES[measure].format(**asdict(options.sizes))


def _goals(measured: Mapping[str, Any]) -> Iterator[str]:
    for goal, value in reached(measured):
        said = "reached" if goal.met(value) else "missed"
        yield f"  {TITLES[goal.vendor]:16} {goal.title:44} {number(value):>10}   {bound(goal):18} {said}"


def bound(goal: Goal) -> str:
    """Return the goal's bound in words."""
    if goal.at_least is not None:
        return f"at least {number(goal.at_least)}"
    return f"at most {number(goal.at_most)}"


def _line(row: Cells) -> str:
    padded = [f"{row[0]:<{WIDTHS[0]}}"]
    padded += [f"{cell:>{width}}" for cell, width in zip(row[1:], WIDTHS[1:], strict=False)]
    return "".join(padded).rstrip()


def machine() -> dict[str, Any]:
    """Return what a figure depends on besides the database."""
    return {"processors": os.cpu_count(), "Python": platform.python_version(), "system": platform.system()}
