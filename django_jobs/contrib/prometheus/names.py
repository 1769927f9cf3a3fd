"""Names, labels and texts of all metrics, in one place: the code, the dashboard, the alert rules and the docs agree.

No label has an id or a key. ``job`` is a registered name or ``(unknown)``; ``queue`` one of the first 100 names, or
``(other)``. With jobs in several databases every metric has the label ``database`` before its own.
"""

from __future__ import annotations

from typing import NamedTuple

DATABASE_LABEL = "database"
COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"
UNKNOWN_JOB, OTHER_QUEUE = "(unknown)", "(other)"
MAX_QUEUES = 100
"""Queues that have series of their own."""

BUCKETS = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
"""Upper bounds of both histograms, in seconds."""


class MetricName(NamedTuple):
    """A metric as Prometheus shows it."""

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str

    @property
    def of_each_database(self) -> MetricName:
        """The metric with the label ``database``."""
        return self._replace(labels=(DATABASE_LABEL, *self.labels))

    @property
    def series(self) -> tuple[str, ...]:
        """The names by which PromQL knows it."""
        if self.kind == HISTOGRAM:
            return tuple(f"{self.name}{suffix}" for suffix in ("_bucket", "_sum", "_count"))
        return (self.name,)


JOBS = MetricName("django_jobs_jobs", GAUGE, ("queue", "state"), "Jobs that wait or run, by state")
OLDEST_READY = MetricName(
    "django_jobs_oldest_ready_seconds", GAUGE, ("queue",), "How long the oldest ready job has been ready; 0 if none is"
)
WORKERS = MetricName("django_jobs_workers", GAUGE, (), "Living worker processes")
THREADS = MetricName(
    "django_jobs_slots", GAUGE, ("state",), "Threads and job processes of living workers: busy or idle"
)
PAUSED = MetricName("django_jobs_queue_paused", GAUGE, ("queue",), "1 while the queue is paused")
DEAD_LETTERS = MetricName("django_jobs_dead_letters_open", GAUGE, ("queue",), "Open dead letters")
QUEUES_LEFT_OUT = MetricName("django_jobs_queues_left_out", GAUGE, (), "Queues without series: more than 100 exist")
DATABASE_UP = MetricName("django_jobs_database_up", GAUGE, (), "1 if the gauges could be read for this page")

RUNS = MetricName("django_jobs_runs_total", COUNTER, ("job", "queue", "outcome"), "Runs that have ended, by outcome")
WAIT = MetricName("django_jobs_wait_seconds", HISTOGRAM, ("queue",), "Time from ready to the start of a run")
RUN = MetricName("django_jobs_run_seconds", HISTOGRAM, ("job", "queue"), "Duration of runs")
TICKS = MetricName("django_jobs_ticks_total", COUNTER, ("outcome",), "Ticks of schedules, by outcome")

GAUGES = (JOBS, OLDEST_READY, WORKERS, THREADS, PAUSED, DEAD_LETTERS, QUEUES_LEFT_OUT, DATABASE_UP)
"""Read from the database, the same on the page of every worker and in the view."""
COUNTERS = (RUNS, WAIT, RUN, TICKS)
"""Counted by the processes of one ``runworker``."""
