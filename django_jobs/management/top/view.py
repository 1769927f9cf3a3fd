"""The content of ``jobs top``: health, queues, running jobs, workers and the newest errors, as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from operator import attrgetter

from django.utils import timezone

from ...policy.error_text import class_name
from ...policy.health_sentence import Severity
from ...policy.printable import visible_line
from ...store.stats.dashboard import BoundedCount, DashboardSnapshot
from ...store.stats.live_workers import RunningJob, WorkerStatus
from ...store.stats.service_facts import describe_service
from ..rows import duration_text, forecast_text, sentence_text

MIN_ROWS = 1
"""Rows that a table keeps on a low screen."""
LINES_PER_TABLE = 3
"""Its title, its headings, and the line after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of texts; ``more`` are left out. ``numbers``: the columns that are aligned right."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    numbers: frozenset[int] = frozenset()
    more: int = 0
    empty: str = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One picture: a line of figures, sentences with their severity, and tables.

    ``parts``: of several databases, the view of each by alias.
    """

    heading: str
    sentences: Sequence[tuple[Severity, str]]
    tables: Sequence[Table]
    parts: Mapping[str, View] = field(default_factory=dict)

    @property
    def height(self) -> int:
        """The number of its lines, if none is broken."""
        return 2 + len(self.sentences) + sum(map(_table_height, self.tables))

    def fit(self, height: int) -> View:
        """Return the view with as many rows as ``height`` lines have room for: the longest table is cut first."""
        view = self
        while view.height > height:
            table = max(view.tables, key=lambda table: len(table.rows))
            if len(table.rows) <= MIN_ROWS:
                break
            cut = replace(table, rows=table.rows[:-1], more=table.more + 1)
            view = replace(view, tables=[cut if one is table else one for one in view.tables])
        return view


def _table_height(table: Table) -> int:
    return LINES_PER_TABLE + max(len(table.rows), 1) + bool(table.more)


def make_view(stats: DashboardSnapshot, *, note: str) -> View:
    """Return what was read as texts without control characters; ``note`` follows the time."""
    sentences = [(sentence.severity, visible_line(sentence_text(sentence))) for sentence in describe_service(stats)]
    tables = (_queues(stats), _running(stats), _workers(stats), _errors(stats))
    return View(heading=_heading([stats], note), sentences=sentences, tables=[_printable(table) for table in tables])


def join_views(views: Mapping[str, View], stats: Sequence[DashboardSnapshot], *, note: str) -> View:
    """Return the views of several databases as one: sums in the heading, and the database in front of each row."""
    tables: dict[str, Table] = {}
    for alias, view in views.items():
        for table in view.tables:
            rows = [(alias, *row) for row in table.rows]
            if (joined := tables.get(table.title)) is None:
                columns, numbers = ("database", *table.columns), frozenset(at + 1 for at in table.numbers)
                tables[table.title] = replace(table, columns=columns, numbers=numbers, rows=rows)
            else:
                tables[table.title] = replace(joined, rows=[*joined.rows, *rows])
    sentences = [(severity, f"{alias}: {text}") for alias, view in views.items() for severity, text in view.sentences]
    return View(heading=_heading(stats, note), sentences=sentences, tables=list(tables.values()), parts=views)


def _heading(stats: Sequence[DashboardSnapshot], note: str) -> str:
    """Return the time, the note, and figures: sums of all databases that were read."""
    if not stats:
        return note
    waiting = sum(queue.waiting.number for one in stats for queue in one.queues)
    totals = [one.totals for one in stats]
    figures = (
        f"waiting {waiting:,}",
        f"running {sum(one.running for one in stats):,}",
        f"in hand {sum(one.in_hand for one in stats):,}",
        f"last hour: {sum(one.succeeded for one in totals):,} succeeded",
    )
    ends = f"{sum(one.retried for one in totals):,} retried, {sum(one.dead for one in totals):,} dead"
    return "  ".join(filter(None, (f"{timezone.localtime(stats[0].now):%H:%M:%S}", note, *figures))) + f", {ends}"


def problem_view(problem: str, *, note: str) -> View:
    """Return a view that says why nothing could be read."""
    return View(heading=note, sentences=[(Severity.PROBLEM, visible_line(problem))], tables=())


def as_row(view: View) -> dict[str, object]:
    """Return the view for JSON; of several databases an object by alias."""
    if view.parts:
        return {alias: as_row(part) for alias, part in view.parts.items()}
    return {
        "heading": view.heading,
        "health": [{"severity": severity.value, "text": text} for severity, text in view.sentences],
        **{
            table.title.lower().replace(" ", "_"): [dict(zip(table.columns, row, strict=True)) for row in table.rows]
            for table in view.tables
        },
    }


def _queues(stats: DashboardSnapshot) -> Table:
    queues = sorted(stats.queues, key=lambda queue: (-(queue.oldest_seconds or 0), -queue.waiting.number, queue.name))
    rows = [
        (
            queue.name,
            _count(queue.waiting),
            _seconds(queue.oldest_seconds),
            f"{queue.running:,}",
            f"{queue.per_minute:,.1f}",
            "paused" if queue.paused_at else forecast_text(queue.forecast, now=stats.now),
        )
        for queue in queues
    ]
    columns = ("queue", "waiting", "oldest", "running", "per minute", "forecast")
    return Table(title="Queues", columns=columns, rows=rows, numbers=frozenset({1, 2, 3, 4}))


def _running(stats: DashboardSnapshot) -> Table:
    """Return the runs of all workers, the longest first."""
    runs = [(job, worker) for worker in stats.workers for job in worker.running]
    runs.sort(key=lambda run: (run[0].since or stats.now, run[0].job_id))
    rows = [
        (
            f"#{job.job_id}",
            job.name,
            job.queue_name,
            _place(worker),
            _duration(stats.now - job.since if job.since else None) + (" long" if job.is_long else ""),
            _progress(job),
        )
        for job, worker in runs
    ]
    columns = ("id", "job", "queue", "worker", "for", "progress")
    return Table(title="Running", columns=columns, rows=rows, numbers=frozenset({0}), empty="no job that takes long")


def _workers(stats: DashboardSnapshot) -> Table:
    rows = [
        (
            f"#{worker.worker_id}",
            _place(worker),
            _state(worker),
            ", ".join(worker.queues) or "all",
            f"{worker.load.threads + (worker.load.async_runs or 0)}/{worker.concurrency}"
            if worker.concurrency
            else "-",
            str(worker.load.in_hand),
            "-" if worker.memory_bytes is None else f"{worker.memory_bytes / 2**20:.0f} MiB",
        )
        for worker in sorted(stats.workers, key=attrgetter("worker_id"))
    ]
    columns = ("id", "worker", "state", "queues", "busy", "in hand", "memory")
    return Table(title="Workers", columns=columns, rows=rows, numbers=frozenset({0, 4, 5, 6}), empty="none")


def _errors(stats: DashboardSnapshot) -> Table:
    rows = [
        (
            class_name(group.error_class) or group.reason,
            group.job_name,
            f"{group.open:,}",
            _ago(stats, group.last_died_at),
        )
        for group in stats.groups
    ]
    columns = ("error", "job", "open", "last")
    return Table(title="Newest errors", columns=columns, rows=rows, numbers=frozenset({2, 3}), empty="no dead letters")


def _ago(stats: DashboardSnapshot, instant: datetime) -> str:
    return f"{_duration(stats.now - instant)} ago"


def _state(worker: WorkerStatus) -> str:
    if worker.is_stale:
        return "no heartbeat"
    return "stopping" if worker.stop_requested_at else worker.state


def _place(worker: WorkerStatus) -> str:
    return f"{worker.hostname}:{worker.pid}"


def _progress(job: RunningJob) -> str:
    if job.progress_done is None:
        return ""
    return f"{job.progress_done}/{job.progress_total}" if job.progress_total else str(job.progress_done)


def _count(number: BoundedCount) -> str:
    return f"{number.number:,}{'+' if number.is_more else ''}"


def _seconds(seconds: float | None) -> str:
    return _duration(None if seconds is None else timedelta(seconds=seconds))


def _duration(duration: timedelta | None) -> str:
    return "-" if duration is None else duration_text(duration)


def _printable(table: Table) -> Table:
    return replace(table, rows=[tuple(map(visible_line, row)) for row in table.rows])
