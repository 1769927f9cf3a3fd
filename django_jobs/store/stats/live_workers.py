"""Read what the workers do now: the runs that have begun, the longest first, and the jobs that are only in hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.db.models import Count, OuterRef, Subquery

from ...conf import get_settings
from ...models import Attempt, Job, Worker
from ...policy.activity import Activity, Load, current_load, read_activity
from ...policy.histogram import bucket_of, percentile
from ...policy.outcomes import AttemptOutcome
from ...policy.states import State
from ..dialects import open_dialect
from ..dialects.base.jobs import state_literal

MAX_WORKERS = 100
MAX_CLAIMED = 1_000
NEWEST_ATTEMPTS = 2_000
"""Runs of the last attempts of all jobs tell what is usual for a job's name."""
MIN_ATTEMPTS = 20
"""Fewer runs of a name do not tell what is usual."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningJob:
    """A run that has begun. ``is_long``: it takes longer than 99 % of the last runs of its name, and over a second."""

    job_id: int
    name: str
    queue_name: str
    since: datetime | None
    progress_done: int | None
    progress_total: int | None
    progress_message: str
    is_long: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStatus:
    """A worker that is not known to have ended; ``is_stale``: its heartbeat has stopped.

    ``running``: the runs that had begun at its last report and have not ended since, the longest first.
    ``async_capacity``: how many coroutines it may run at once, None if it has not reported that.
    """

    worker_id: int
    hostname: str
    pid: int
    state: str
    is_stale: bool
    queues: list[str]
    concurrency: int
    async_capacity: int | None
    version: str
    release: str
    memory_bytes: int | None
    started_at: datetime
    heartbeat_at: datetime
    stop_requested_at: datetime | None
    kill_requested_at: datetime | None
    load: Load
    running: list[RunningJob]


def claimed_jobs(*, using: str) -> tuple[list[Job], Counter[str]]:
    """Return jobs in the state running, oldest first and up to a limit, and their number in each queue."""
    jobs = Job.objects.using(using).filter(state=state_literal(State.RUNNING))
    rows = list(
        jobs.order_by("pk").only(
            "name",
            "queue_name",
            "worker_id",
            "claim_number",
            "started_at",
            "progress_done",
            "progress_total",
            "progress_message",
        )[: MAX_CLAIMED + 1]
    )
    if len(rows) <= MAX_CLAIMED:
        return rows, Counter(job.queue_name for job in rows)
    numbers = jobs.order_by().values_list("queue_name").annotate(number=Count("pk"))
    return rows[:MAX_CLAIMED], Counter(dict(numbers))


def live_workers(now: datetime, claimed: Collection[Job], *, using: str) -> list[WorkerStatus]:
    """Return the workers that are not known to have ended, up to one more than the limit. Two statements."""
    rows = Worker.objects.using(using).filter(state__in=Worker.ALIVE_STATES).order_by("pk")[: MAX_WORKERS + 1]
    return describe_workers(list(rows), claimed, now=now, using=using)


def describe_workers(
    workers: Iterable[Worker], claimed: Collection[Job], *, now: datetime, using: str
) -> list[WorkerStatus]:
    """Return the status of these workers. One statement, for what is usual, if a run has become long.

    Runs are not marked as long if more jobs are claimed than are read: the database is busy enough.
    """
    by_worker: dict[int | None, list[Job]] = {}
    for job in claimed:
        by_worker.setdefault(job.worker_id, []).append(job)
    is_truncated = len(claimed) >= MAX_CLAIMED
    statuses = [_status(worker, by_worker.get(worker.pk, []), now, is_truncated=is_truncated) for worker in workers]
    return statuses if is_truncated else _mark_long(statuses, now, using)


def _status(row: Worker, jobs: list[Job], now: datetime, *, is_truncated: bool) -> WorkerStatus:
    stale_before = now - get_settings().worker.stale_after
    report = read_activity(row.activity)
    running = _reported_run(jobs, report)
    known = report or Activity(threads=len(jobs))  # an older version, which reports nothing
    claimed = max(known.claimed, len(jobs)) if is_truncated else len(jobs)
    return WorkerStatus(
        worker_id=row.pk,
        hostname=row.hostname,
        pid=row.pid,
        state=row.state,
        is_stale=row.heartbeat_at < stale_before,
        queues=row.queues,
        concurrency=row.concurrency,
        async_capacity=report.async_capacity if report else None,
        version=row.version,
        release=row.release,
        memory_bytes=row.memory_bytes,
        started_at=row.started_at,
        heartbeat_at=row.heartbeat_at,
        stop_requested_at=row.stop_requested_at,
        kill_requested_at=row.kill_requested_at,
        load=current_load(known, claimed=claimed, started=len(running)),
        running=sorted(running, key=lambda job: (job.since or now, job.job_id)),
    )


def _reported_run(jobs: Iterable[Job], report: Activity | None) -> list[RunningJob]:
    runs = {run[:2]: run.run_started_at for run in report.runs} if report else {}
    return [
        RunningJob(
            job_id=job.pk,
            name=job.name,
            queue_name=job.queue_name,
            since=runs.get((job.pk, job.claim_number), job.started_at),
            progress_done=job.progress_done,
            progress_total=job.progress_total,
            progress_message=job.progress_message,
        )
        for job in jobs
        if report is None or (job.pk, job.claim_number) in runs
    ]


def _mark_long(statuses: list[WorkerStatus], now: datetime, alias: str) -> list[WorkerStatus]:
    latest = now - timedelta(seconds=1)
    names = {job.name for status in statuses for job in status.running if job.since and job.since < latest}
    usual = usual_run_times(names, using=alias)

    def mark(job: RunningJob) -> RunningJob:
        limit = usual.get(job.name)
        is_long = limit is not None and job.since is not None and job.since < min(latest, now - limit)
        return replace(job, is_long=is_long)

    return [replace(status, running=[mark(job) for job in status.running]) for status in statuses]


def usual_run_times(names: Collection[str], *, using: str | None = None) -> dict[str, timedelta]:
    """Return how long 99 % of the last successful runs of each name took at most; nothing for a name with few.

    One statement, over the newest 2,000 attempts of all jobs. The names are chosen here: asked for them, or with a
    join, PostgreSQL may read all jobs, because it does not know how few the attempts are.
    """
    if not names:
        return {}
    _, connection = open_dialect(using)
    name_of_job = Job.objects.using(connection.alias).filter(pk=OuterRef("job_id")).values("name")[:1]
    newest = Attempt.objects.using(connection.alias).order_by("-pk").annotate(name=Subquery(name_of_job))
    rows = newest.values_list("name", "outcome", "started_at", "finished_at")[:NEWEST_ATTEMPTS]
    counts: dict[str, Counter[int]] = {}
    for name, outcome, started_at, finished_at in rows:
        if name in names and outcome == AttemptOutcome.SUCCEEDED and started_at is not None:
            counts.setdefault(name, Counter())[bucket_of((finished_at - started_at).total_seconds())] += 1
    return {
        name: timedelta(seconds=percentile(buckets, 0.99) or 0)
        for name, buckets in counts.items()
        if buckets.total() >= MIN_ATTEMPTS
    }
