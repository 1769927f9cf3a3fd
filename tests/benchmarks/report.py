"""Print the figures: a table of at most 110 columns, or JSON, and the goals beside what was reached."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tests.databases import TITLES

from .names import DRAINS, FEATURES, MEASURES
from .options import Options

HEAD = ("", "engine", "limit", "ratio", "to plain", "last/first", "limit's")
WIDTHS = (46, 12, 12, 8, 10, 11, 9)

BESIDE: Mapping[str, Mapping[str, str]] = {
    "enqueue_stream": {
        "first_mib": "memory after the first jobs, MiB",
        "peak_mib": "memory at its peak, MiB",
    },
    "drain": {"peak_mib": "memory of the worker, peak MiB"},
    "queues": {"one_more_ms": "one more job starts after, ms"},
    "chain": {"enqueue_ms": "enqueued within, ms"},
    "graph": {"enqueue_ms": "enqueued within, ms"},
}
"""What else is told of a measure of jobs a second."""

Figures = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """A figure that was promised: the path to it in a database's measures, and the least that it is to be."""

    vendor: str
    title: str
    measure: str
    figure: str
    at_least: float


GOALS = (
    Goal(
        vendor="postgresql",
        title="drain, jobs/s",
        measure="drain",
        figure="jobs_per_second",
        at_least=10_000,
    ),
    Goal(vendor="postgresql", title="drain to limit", measure="drain", figure="ratio", at_least=0.25),
    Goal(vendor="mysql", title="drain to limit", measure="drain", figure="ratio", at_least=0.25),
    Goal(vendor="sqlite", title="drain to limit", measure="drain", figure="ratio", at_least=0.1),
    *(
        Goal(
            vendor=vendor,
            title="10,000 schedules within 2 s, ticks/s",
            measure="schedules",
            figure="ticks_per_second",
            at_least=5_000,
        )
        for vendor in ("postgresql", "mysql", "sqlite")
    ),
    Goal(
        vendor="postgresql",
        title="unique enqueue to plain",
        measure="unique",
        figure="to_plain",
        at_least=0.7,
    ),
    Goal(
        vendor="postgresql",
        title="admin pages, few rows' time to many's",
        measure="pages",
        figure="few_to_many",
        at_least=1 / 1.5,
    ),
    *(
        Goal(vendor="postgresql", title=title, measure=measure, figure="ratio", at_least=0.5)
        for measure, title in (
            ("keyed_rate", "rate limit by key to plain drain"),
            ("keyed_concurrency", "concurrency by key to plain drain"),
            ("in_order", "order by key to plain drain"),
        )
    ),
    *(
        Goal(
            vendor=vendor,
            title="drain of a batch to the plain one",
            measure="batch",
            figure="to_drain",
            at_least=0.8,
        )
        for vendor in ("postgresql", "mysql", "sqlite")
    ),
    *(
        Goal(
            vendor=vendor,
            title="old snapshot, last tenth to first",
            measure="snapshot",
            figure="last_to_first",
            at_least=0.9,
        )
        for vendor in ("postgresql", "mysql", "sqlite")
    ),
)


def as_json(measured: Mapping[str, Any], skipped: Mapping[str, str], options: Options) -> str:
    """Return everything, the rounds included."""
    return json.dumps(
        {
            "machine": _machine(),
            "sizes": asdict(options.sizes),
            "rounds": options.rounds,
            "databases": measured,
            "skipped": skipped,
            "goals": [
                {**asdict(goal), "reached": reached, "met": reached >= goal.at_least}
                for goal, reached in _reached(measured)
            ],
        },
        indent=2,
    )


def as_table(measured: Mapping[str, Any], skipped: Mapping[str, str], options: Options) -> str:
    """Return a table a database, what was skipped, and the goals."""
    lines = [", ".join(f"{name} {value}" for name, value in _machine().items())]
    lines.append(
        "Jobs a second, ms, or as said; ratio: engine to limit, above 1 is better. 'to plain': to the plain one;"
    )
    lines.append("'last/first': the rate of the last tenth of the jobs to that of the first, and the limit's.")
    for vendor, result in measured.items():
        if result is None:
            lines += ["", f"{TITLES[vendor]}: failed, see above"]
            continue
        lines += ["", result["version"], _line(HEAD), "-" * sum(WIDTHS)]
        for name, both in result["measures"].items():
            title = MEASURES[name].format(**asdict(options.sizes))
            lines += [_line(row) for row in _rows(name, title, both, result["measures"])]
    for vendor, reason in skipped.items():
        lines += ["", f"{TITLES[vendor]}: skipped, {reason}"]
    lines += ["", "Goals"]
    for goal, reached in _reached(measured):
        said = "reached" if reached >= goal.at_least else "missed"
        lines.append(
            f"  {TITLES[goal.vendor]:16} {goal.title:36} {_number(reached):>10}"
            f"   at least {_number(goal.at_least):>6}   {said}"
        )
    return "\n".join(lines)


def _rows(name: str, title: str, both: Figures, measures: Figures) -> Iterator[tuple[str, ...]]:
    engine, limit = both["engine"], both.get("limit", {})
    if name == "idle":
        yield f"{title}, statements/s", _number(engine["statements_per_second"])
        yield "  processor seconds a minute", _number(engine["cpu_seconds_per_minute"])
        yield "  memory of its processes, MiB", _number(engine["idle_mib"])
    elif name == "schedules":
        yield f"{title}, ticks/s", _number(engine["ticks_per_second"])
        yield "  all ready after, s", _number(engine["seconds"])
    elif name == "pages":
        yield f"{title}: slowest ratio", _number(engine["worst_ratio"])
        yield "  most queries of a page", _number(engine["most_queries"])
        for figure, milliseconds in engine.items():
            if figure.endswith("_ms"):
                page = figure.removesuffix("_ms")
                yield (
                    f"  {page}, ms",
                    _number(milliseconds),
                    _number(engine[f"{page}_few"]),
                    _number(engine[f"{page}_ratio"]),
                )
    elif "to_plain" in engine:
        yield title, _number(engine["jobs_per_second"]), "", "", _number(engine["to_plain"])
    elif name == "on_time":
        yield f"{title}, p50", _number(engine["p50_ms"])
        yield "  p90", _number(engine["p90_ms"])
        yield "  p99", _number(engine["p99_ms"])
    elif name.startswith("latency"):
        for figure, label in (("p50_ms", f"{title}, p50"), ("p90_ms", "  p90"), ("p99_ms", "  p99")):
            ratio = limit[figure] / max(engine[figure], 1e-3)
            yield label, _number(engine[figure]), _number(limit[figure]), _number(ratio)
    else:
        plain = measures.get("drain")
        is_variant = name in DRAINS and name != "drain" and plain
        yield (
            title,
            _number(engine["jobs_per_second"]),
            _number(limit["jobs_per_second"]) if limit else "",
            _number(_ratio(both)) if limit else "",
            _number(engine["jobs_per_second"] / plain["engine"]["jobs_per_second"]) if is_variant else "",
            _number(engine["last_to_first"]) if name in (*DRAINS, *FEATURES) else "",
            _number(limit["last_to_first"]) if name in (*DRAINS, *FEATURES) else "",
        )
        yield from (_row(title, engine, figure) for figure, title in BESIDE.get(name, {}).items())


def _row(title: str, engine: Figures, figure: str) -> tuple[str, ...]:
    return f"  {title}", _number(engine[figure])


def _reached(measured: Mapping[str, Any]) -> Iterator[tuple[Goal, float]]:
    for goal in GOALS:
        both = ((measured.get(goal.vendor) or {}).get("measures") or {}).get(goal.measure)
        if both:
            if goal.figure == "ratio":
                yield goal, _ratio(both)
            elif goal.figure == "to_drain":
                if plain := (measured[goal.vendor]["measures"]).get("drain"):
                    yield goal, both["engine"]["jobs_per_second"] / plain["engine"]["jobs_per_second"]
            else:
                yield goal, both["engine"][goal.figure]


def _ratio(both: Figures) -> float:
    return float(both["engine"]["jobs_per_second"] / both["limit"]["jobs_per_second"])


def _number(value: float | None) -> str:
    if value is None:
        return "not counted"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _line(cells: tuple[str, ...]) -> str:
    padded = [f"{cells[0]:<{WIDTHS[0]}}"]
    padded += [f"{cell:>{width}}" for cell, width in zip(cells[1:], WIDTHS[1:], strict=False)]
    return "".join(padded).rstrip()


def _machine() -> dict[str, Any]:
    return {"processors": os.cpu_count(), "Python": platform.python_version(), "system": platform.system()}
