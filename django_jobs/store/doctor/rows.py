"""Find rows that are wrong: silent workers, stuck claims, jobs that no operation will ever find."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from django.db.models import Count, Exists, F, Min, OuterRef, Q, QuerySet

from ...models import Job, Limit, LimitSignal, Permit, Worker
from ...policy.doctor import SilentWorker, UnknownJobs
from ...policy.limits import PermitPhase
from ...policy.states import FINAL_STATES, WAITING_STATES, State
from ..clock import DatabaseNow, database_now
from ..dialects import open_dialect
from ..dialects.shared.reads import read_orphaned_ids

MAX_REPORTED = 10


def silent_workers(*, stale_after: timedelta, using: str | None = None) -> list[SilentWorker]:
    """Return workers marked alive without a heartbeat for twice the time after which one is marked lost."""
    _, connection = open_dialect(using)
    now = database_now(using=connection.alias)
    rows = Worker.objects.using(connection.alias).filter(
        state__in=Worker.ALIVE_STATES, heartbeat_at__lt=DatabaseNow(-2 * stale_after)
    )
    running = Job.objects.using(connection.alias).filter(state=State.RUNNING)
    return [
        SilentWorker(
            name=f"worker {row.pk} ({row.hostname}, process {row.pid})",
            heartbeat_age_seconds=(now - row.heartbeat_at).total_seconds(),
            claims=running.filter(worker=row.pk).count(),
        )
        for row in rows.order_by("pk")[:MAX_REPORTED]
    ]


def orphaned_jobs(*, using: str | None = None) -> list[int]:
    """Return the ids of up to ten running jobs whose worker is lost, stopped or deleted."""
    _, connection = open_dialect(using)
    return read_orphaned_ids(connection, limit=MAX_REPORTED, worker_id=None)


def inconsistent_jobs(*, using: str | None = None) -> list[int]:
    """Return the ids of up to ten waiting jobs that no operation will ever find. Constraints refuse such rows."""
    unready = Q(state=State.READY, ready_at=None) | Q(state=State.SCHEDULED, run_after=None)
    used_up = Q(state__in=WAITING_STATES, attempt__gte=F("max_attempts"))
    return _ids(_jobs(using).filter(unready | used_up))


def jobs_without_finish_time(*, using: str | None = None) -> list[int]:
    """Return the ids of up to ten ended jobs without the time by which they are pruned."""
    return _ids(_jobs(using).filter(state__in=FINAL_STATES, finished_at=None))


def unknown_jobs(*, using: str | None = None) -> list[UnknownJobs]:
    """Return the job names that no worker knows, with the number of jobs that wait."""
    _, connection = open_dialect(using)
    now = database_now(using=connection.alias)
    unknown = _jobs(using).filter(state__in=WAITING_STATES, unknown_since__isnull=False).order_by()
    rows = unknown.values_list("name").annotate(number=Count("pk"), since=Min("unknown_since"))
    return [
        UnknownJobs(name=name, number=number, unknown_seconds=max((now - since).total_seconds(), 0))
        for name, number, since in sorted(rows)
    ]


def waiting_jobs(*, limit: int, using: str | None = None) -> Iterator[Job]:
    """Yield the oldest waiting jobs whose names are known to workers."""
    waiting = _jobs(using).filter(state__in=WAITING_STATES, unknown_since=None)
    yield from waiting.order_by("pk")[:limit]


def jobs_with_wrong_permits(*, using: str | None = None) -> list[int]:
    """Return the ids of up to ten jobs that are deleted and have a permit, or have one of a limit without a row."""
    _, connection = open_dialect(using)
    alias = connection.alias
    permits = Permit.objects.using(alias).exclude(phase=PermitPhase.COOLING)
    job = Job.objects.using(alias).filter(pk=OuterRef("job_id"))
    limit = Limit.objects.using(alias).filter(pk=OuterRef("limit_id"))
    signal = LimitSignal.objects.using(alias).filter(limit_id=OuterRef("limit_id"), rule__isnull=False)
    wrong = permits.filter(~Exists(job) | (~Exists(limit) & ~Exists(signal)))
    return list(wrong.order_by("job_id").values_list("job_id", flat=True).distinct()[:MAX_REPORTED])


def _jobs(using: str | None) -> QuerySet[Job]:
    _, connection = open_dialect(using)
    return Job.objects.using(connection.alias)


def _ids(jobs: QuerySet[Job]) -> list[int]:
    return list(jobs.order_by("pk").values_list("pk", flat=True)[:MAX_REPORTED])
