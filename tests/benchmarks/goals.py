"""What was promised: figures, ratios and differences with the least or the most that they are to be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

Figures = Mapping[str, Any]
Reading = Literal["engine", "ratio", "over", "to_drain"]
"""The engine's figure, or: as a ratio to the limit's, minus the limit's, as a ratio to the plain drain's."""

VENDORS = ("postgresql", "mysql", "sqlite")


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """A figure of a measure on one database, how it is read, and the least or the most that it is to be.

    ``figure`` may begin with ``*``: then it is a goal for each figure that ends so, such as each broker's ratio.
    """

    vendor: str
    title: str
    measure: str
    figure: str = "jobs_per_second"
    reading: Reading = "engine"
    at_least: float | None = None
    at_most: float | None = None

    def met(self, reached: float) -> bool:
        """Tell whether the figure is within the bounds."""
        return (self.at_least is None or reached >= self.at_least) and (self.at_most is None or reached <= self.at_most)


def _everywhere(**goal: Any) -> tuple[Goal, ...]:
    return tuple(Goal(vendor=vendor, **goal) for vendor in VENDORS)


ENQUEUE = (
    *(
        Goal(vendor=vendor, title="enqueue to limit", measure="enqueue", reading="ratio", at_least=ratio)
        for vendor, ratio in (("postgresql", 0.7), ("mysql", 0.7), ("sqlite", 0.3))
    ),
    Goal(
        vendor="postgresql",
        title="server's CPU of an enqueue to limit's",
        measure="enqueue",
        figure="server_us",
        reading="ratio",
        at_most=1.4,
    ),
    Goal(
        vendor="postgresql",
        title="enqueue_many to limit",
        measure="enqueue_many",
        reading="ratio",
        at_least=0.5,
    ),
    Goal(vendor="postgresql", title="unique enqueue to plain", measure="unique", figure="to_plain", at_least=0.7),
)
DRAIN = (
    Goal(vendor="postgresql", title="drain, jobs/s", measure="drain", at_least=10_000),
    Goal(vendor="postgresql", title="drain to limit", measure="drain", reading="ratio", at_least=0.25),
    Goal(vendor="mysql", title="drain to limit", measure="drain", reading="ratio", at_least=0.25),
    Goal(vendor="sqlite", title="drain to limit", measure="drain", reading="ratio", at_least=0.1),
    Goal(
        vendor="postgresql",
        title="drain to a limit that deletes",
        measure="drain",
        figure="of_delete",
        reading="ratio",
        at_least=0.65,
    ),
    *(
        Goal(
            vendor=vendor,
            title="drain to a limit of one a claim",
            measure="drain",
            figure="of_one",
            reading="ratio",
            at_least=1.0,
        )
        for vendor in ("mysql", "sqlite")
    ),
    Goal(vendor="postgresql", title="worker's CPU of a job, us", measure="drain", figure="worker_us", at_most=75),
    Goal(vendor="postgresql", title="server's CPU of a job, us", measure="drain", figure="server_us", at_most=55),
    *_everywhere(
        title="two processes to one, to limit's",
        measure="drain_two_processes",
        figure="two_to_one",
        reading="ratio",
        at_least=0.95,
    ),
    *(
        Goal(vendor="postgresql", title=title, measure=measure, reading="ratio", at_least=0.5)
        for measure, title in (
            ("keyed_rate", "rate limit by key to plain drain"),
            ("keyed_concurrency", "concurrency by key to plain drain"),
            ("in_order", "order by key to plain drain"),
        )
    ),
    *_everywhere(title="drain in chunks to the plain one", measure="chunks", reading="ratio", at_least=2.0),
    *_everywhere(title="drain of a batch to the plain one", measure="batch", reading="to_drain", at_least=0.8),
    *_everywhere(
        title="old snapshot, last tenth to first",
        measure="snapshot",
        figure="last_to_first",
        at_least=0.9,
    ),
)
WAIT = (
    Goal(
        vendor="postgresql",
        title="p50 of enqueue to start, to limit's",
        measure="latency",
        figure="p50_ms",
        reading="ratio",
        at_most=2.0,
    ),
    Goal(
        vendor="postgresql",
        title="p99 of enqueue to start, to limit's",
        measure="latency",
        figure="p99_ms",
        reading="ratio",
        at_most=2.5,
    ),
    Goal(
        vendor="sqlite",
        title="p50 of enqueue to start, ms over limit's",
        measure="latency",
        figure="p50_ms",
        reading="over",
        at_most=6.0,
    ),
    Goal(
        vendor="postgresql",
        title="the same after a quiet second",
        measure="latency_quiet",
        figure="p50_ms",
        reading="ratio",
        at_most=2.0,
    ),
    Goal(
        vendor="mysql",
        title="p50 of enqueue to start, ms over half a poll",
        measure="latency_quiet",
        figure="p50_over_half_poll_ms",
        at_most=5.0,
    ),
    Goal(
        vendor="postgresql",
        title="woken by a Redis, p50 to LISTEN's",
        measure="latency_redis",
        figure="p50_ms",
        reading="ratio",
        at_most=2.0,
    ),
)
IDLE = tuple(
    Goal(vendor="postgresql", title=title, measure=measure, figure=figure, reading=reading, at_most=most)
    for title, measure, figure, reading, most in (
        ("statements of an idle worker a second", "idle", "statements_per_second", "engine", 1.0),
        ("CPU of an idle worker, %", "idle", "cpu_percent", "engine", 0.3),
        ("CPU of its server, %", "idle", "server_cpu_percent", "engine", 0.1),
        ("connections, fresh", "connections", "fresh", "engine", 3),
        ("connections after work", "connections", "after_noops", "engine", 3),
        ("connections after work with the database", "connections", "after_reads", "engine", 3 + 4),
        ("memory to a bare Django's", "memory", "defaults_mib", "ratio", 1.4),
        ("first job after runworker, to check", "start", "seconds", "ratio", 1.5),
    )
)
OTHERS = (
    *_everywhere(
        title="10,000 schedules within 2 s, ticks/s",
        measure="schedules",
        figure="ticks_per_second",
        at_least=5_000,
    ),
    Goal(
        vendor="postgresql",
        title="admin pages, few rows' CPU to many's",
        measure="pages",
        figure="few_to_many",
        at_least=1 / 1.5,
    ),
    Goal(vendor="postgresql", title="admin pages, statements", measure="pages", figure="most_queries", at_most=20),
    Goal(
        vendor="postgresql",
        title="admin searches, to their bound",
        measure="pages",
        figure="slowest_search",
        at_most=1.5,
    ),
)
MESSAGES = (
    Goal(
        vendor="postgresql",
        title="relay to one a flush",
        measure="publish",
        figure="rabbitmq_ratio",
        at_least=5,
    ),
    *(
        Goal(vendor="postgresql", title=title, measure=measure, figure="*_ratio", at_least=at_least)
        for measure, title, at_least in (
            ("consume_log", "consuming to enqueue_many", 0.5),
            ("consume_queue", "the same with the inbox", 0.25),
        )
    ),
)
TABLES = (
    *_everywhere(title="drain while pruning to without", measure="pruning", reading="ratio", at_least=0.9),
    Goal(
        vendor="postgresql",
        title="size after two cycles to after one",
        measure="pruning",
        figure="last_size_to_first",
        at_most=1.2,
    ),
    Goal(
        vendor="postgresql",
        title="8 workers: a share's deviation",
        measure="fleet",
        figure="largest_deviation",
        at_most=0.2,
    ),
    Goal(
        vendor="postgresql",
        title="8 workers: statements for a job to those of one worker",
        measure="fleet",
        figure="statements_to_one",
        at_most=1.1,
    ),
    Goal(
        vendor="postgresql",
        title="idle workers, statements/s of each",
        measure="idle_fleet",
        figure="statements_of_one",
        at_most=1,
    ),
    Goal(
        vendor="postgresql",
        title="idle workers, updates that write indexes",
        measure="idle_fleet",
        figure="index_updates",
        at_most=0,
    ),
    *_everywhere(title="soak: last minute to first", measure="soak", figure="last_minute_to_first", at_least=0.9),
    *_everywhere(title="soak: p99 of an enqueue to idle", measure="soak", figure="enqueue_p99_to_idle", at_most=2),
)
GOALS = (*ENQUEUE, *DRAIN, *TABLES, *WAIT, *IDLE, *MESSAGES, *OTHERS)


def reached(measured: Mapping[str, Any]) -> Iterator[tuple[Goal, float]]:
    """Yield each goal whose figures were measured, with what was reached."""
    for goal in GOALS:
        measures = (measured.get(goal.vendor) or {}).get("measures") or {}
        for one in goals_of(goal, measures):
            value = read(one, measures)
            if value is not None:
                yield one, value


def goals_of(goal: Goal, measures: Figures) -> list[Goal]:
    """Return a goal, or if it is one for several figures, a goal for each of those that were measured."""
    if not goal.figure.startswith("*"):
        return [goal]
    ending = goal.figure[1:]
    names = [name for name in measures.get(goal.measure, {}).get("engine", {}) if name.endswith(ending)]
    return [replace(goal, figure=name, title=f"{goal.title}: {name.removesuffix(ending)}") for name in names]


def read(goal: Goal, measures: Figures) -> float | None:
    """Return the figure of ``goal``, or None where it, or what it is compared with, was not measured."""
    both = measures.get(goal.measure, {})
    engine = both.get("engine", {}).get(goal.figure)
    match goal.reading:
        case "engine":
            return None if engine is None else float(engine)
        case "to_drain":
            return ratio(engine, measures.get("drain", {}).get("engine", {}).get(goal.figure))
    limit = both.get("limit", {}).get(goal.figure)
    if goal.reading == "ratio":
        return ratio(engine, limit)
    return None if engine is None or limit is None else float(engine - limit)


def ratio(value: float | None, to: float | None) -> float | None:
    """Return one figure as a ratio to another; None where either is unknown or the second is nothing."""
    return None if value is None or not to else float(value / to)
