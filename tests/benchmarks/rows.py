"""What the table shows of each measure: a row a figure, and its cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from .goals import Figures, ratio
from .names import DRAINS, FEATURES, MESSAGES

Cells = tuple[str, ...]
HEAD: Cells = ("", "engine", "limit", "ratio", "to plain", "last/first", "limit's")


@dataclass(frozen=True, slots=True)
class Row:
    """A figure, and what stands before it; the first row of a measure is called like the measure itself."""

    figure: str
    title: str = ""


RATE = (Row("jobs_per_second"),)
PERCENTILES = (Row("p50_ms", "p50 ms"), Row("p90_ms", "p90 ms"), Row("p99_ms", "p99 ms"))
RATIO = "_ratio"
BROKER_ROWS = (Row("{}", "{}, messages/s"), Row("{}_us", "  CPU of one here, us"))
"""The rows of each broker; what a figure is compared with has the same name with ``_plain`` behind it."""
ROWS: Mapping[str, tuple[Row, ...]] = {
    "enqueue": (
        *RATE,
        Row("server_us", "server's CPU of one, us"),
        Row("client_us", "client's CPU of one, us"),
    ),
    "enqueue_stream": (
        *RATE,
        Row("first_mib", "memory after the first jobs, MiB"),
        Row("peak_mib", "memory at its peak, MiB"),
    ),
    "drain": (
        *RATE,
        Row("of_delete", "to a limit that deletes and keeps nothing"),
        Row("of_one", "to a limit of one a claim"),
        Row("worker_us", "worker's CPU of a job, us"),
        Row("server_us", "server's CPU of a job, us"),
        Row("peak_mib", "memory of the worker, peak MiB"),
    ),
    "chunks": (
        *RATE,
        Row("worker_us", "worker's CPU of a job, us"),
        Row("server_us", "server's CPU of a job, us"),
    ),
    "pruning": (
        *RATE,
        Row("worker_us", "worker's CPU of a job, us"),
        Row("server_us", "server's CPU of a job, us"),
        Row("pruned", "pruned meanwhile"),
        Row("size_mib", "size of the tables in the end, MiB"),
        Row("last_size_to_first", "size after two cycles to after one"),
    ),
    "soak": (
        *RATE,
        Row("last_minute_to_first", "last minute to the first"),
        Row("waiting_at_end", "jobs waiting in the end"),
        Row("enqueue_p50_ms", "an enqueue, p50 ms"),
        Row("enqueue_p99_ms", "an enqueue, p99 ms"),
        Row("idle_p99_ms", "an enqueue without workers, p99 ms"),
        Row("enqueue_p99_to_idle", "p99 to that without workers"),
    ),
    "fleet": (
        Row("largest_deviation", "largest deviation of a worker's share"),
        Row("statements_per_job", "statements for a job"),
        Row("statements_to_one", "to those with one worker"),
        Row("noops_deviation", "deviation with jobs that do nothing"),
        Row("single_statements", "statements for a job that comes alone"),
        Row("singles_to_one", "to those with one worker"),
    ),
    "idle_fleet": (
        Row("statements_per_second", "statements/s"),
        Row("statements_of_one", "of each worker"),
        Row("server_cpu_percent", "CPU of its server, % of a core"),
        Row("wal_kib_per_second", "write-ahead log, KiB/s"),
        Row("rows_inserted", "rows inserted in a minute"),
        Row("index_updates", "updates that write indexes"),
        Row("grown_kib", "growth of the tables, KiB"),
        Row("connections", "connections"),
        Row("memory_mib", "memory, MiB"),
    ),
    "job_cost": tuple(
        Row(f"{name}_{figure}", f"{title}: {words}")
        for name, title in (("single", "enqueued alone"), ("bulk", "one of many"), ("run", "run"), ("prune", "deleted"))
        for figure, words in (
            ("statements", "statements"),
            ("wal_bytes", "bytes of log"),
            ("index_entries", "entries of indexes"),
        )
    )
    + (Row("disk_bytes", "bytes of disk of a finished job"),),
    "drain_two_processes": (*RATE, Row("two_to_one", "two processes to one")),
    "queues": (*RATE, Row("one_more_ms", "one more job starts after, ms")),
    "chain": (*RATE, Row("enqueue_ms", "enqueued within, ms")),
    "graph": (*RATE, Row("enqueue_ms", "enqueued within, ms")),
    "latency": PERCENTILES,
    "latency_quiet": (*PERCENTILES, Row("p50_over_half_poll_ms", "p50 over half a poll, ms")),
    "latency_redis": PERCENTILES,
    "on_time": PERCENTILES,
    "schedules": (Row("ticks_per_second", "ticks/s"), Row("seconds", "all ready after, s")),
    "idle": (
        Row("statements_per_second", "statements/s"),
        Row("cpu_percent", "CPU, % of a core"),
        Row("server_cpu_percent", "CPU of its server, % of a core"),
    ),
    "connections": (
        Row("fresh", "fresh"),
        Row("after_noops", "after jobs that do nothing"),
        Row("after_reads", "after jobs that read"),
    ),
    "memory": (
        Row("defaults_mib", "MiB"),
        Row("defaults_processes", "processes"),
        Row("two_processes_mib", "with --processes 2, MiB"),
        Row("two_processes_processes", "processes"),
        Row("pool_processes_mib", "with --pool processes, MiB"),
        Row("pool_processes_processes", "processes"),
    ),
    "start": (Row("seconds", "s"),),
}


def cells(name: str, title: str, measures: Figures) -> Iterator[Cells]:
    """Yield the rows of the measure ``name``."""
    engine, limit = measures[name]["engine"], measures[name].get("limit", {})
    if name == "pages":
        yield from _pages(title, engine)
        return
    if name in MESSAGES:
        yield from _brokers(title, engine)
        return
    for at, row in enumerate(ROWS.get(name, RATE)):
        if row.figure not in engine:
            continue
        label = ", ".join(filter(None, (title, row.title))) if at == 0 else f"  {row.title}"
        yield (
            label,
            number(engine[row.figure]),
            number(limit[row.figure]) if row.figure in limit else "",
            _number(ratio(engine[row.figure], limit.get(row.figure))),
            *(_comparisons(name, engine, limit, measures) if at == 0 else ()),
        )


def _comparisons(name: str, engine: Figures, limit: Figures, measures: Figures) -> Cells:
    """Return the cells behind the ratio: to the plain measure, and how the last tenth compares with the first."""
    plain = measures.get("drain", {}).get("engine", {}) if name in DRAINS and name != "drain" else {}
    to_plain = engine.get("to_plain", ratio(engine.get("jobs_per_second"), plain.get("jobs_per_second")))
    if name not in (*DRAINS, *FEATURES):
        return (_number(to_plain),)
    return (_number(to_plain), number(engine["last_to_first"]), number(limit["last_to_first"]))


def _pages(title: str, engine: Figures) -> Iterator[Cells]:
    yield f"{title}: worst ratio of CPU", number(engine["worst_ratio"])
    yield "  slowest search to its bound", number(engine["slowest_search"])
    yield "  most queries of a page", number(engine["most_queries"])
    for figure, milliseconds in engine.items():
        if figure.endswith("_ms"):
            page = figure.removesuffix("_ms")
            bound = engine[f"{page}_bound"]
            title = f"  {page}, ms" if bound is None else f"  {page}, searched for {number(bound)} ms at most"
            yield title, number(milliseconds), number(engine[f"{page}_few"]), _number(engine[f"{page}_ratio"])


def _brokers(title: str, engine: Figures) -> Iterator[Cells]:
    yield (title,)
    for row in broker_rows(engine):
        value, plain = engine[row.figure], engine[f"{row.figure}_plain"]
        yield f"  {row.title}", number(value), number(plain), number(value / plain)


def broker_rows(engine: Figures) -> Iterator[Row]:
    """Yield the rows of each broker that a measure of messages has figures of."""
    for name in [figure.removesuffix(RATIO) for figure in engine if figure.endswith(RATIO)]:
        for row in BROKER_ROWS:
            if engine.get(figure := row.figure.format(name)) is not None:
                yield Row(figure, row.title.format(name))


def number(value: float | None) -> str:
    """Return a figure with as many digits as say something."""
    if value is None:
        return "not counted"
    if value == int(value) and abs(value) < 100:
        return str(int(value))
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _number(value: float | None) -> str:
    return "" if value is None else number(value)
