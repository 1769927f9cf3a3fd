"""Read what the audit compares: all rows of the database, and the file in which jobs said when they ran."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from django.db.models import Model, QuerySet

from django_jobs import models
from django_jobs.policy.batches import FINAL_BATCH_STATES
from django_jobs.policy.limits import PermitPhase
from django_jobs.policy.states import FINAL_STATES
from tests.sampleapp.models import Customer

from .load import Promise


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of a job, as it said itself, by the host's monotonic clock. ``ended`` None: it did not say so."""

    job_id: int
    key: str
    began: float
    ended: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that is known when everything has ended. The lists of rows are in the order of their keys.

    ``crashed``: the server was, and may have forgotten the newest claims, whose runs then have no attempt.
    """

    promises: Sequence[Promise] = ()
    runs: Sequence[Run] = ()
    cancelled: dict[int, float] = field(default_factory=dict)
    claimed_while_paused: frozenset[tuple[int, int]] = frozenset()
    crashed: bool = False
    effects: Counter[str] = field(default_factory=Counter)
    files: dict[str, str] = field(default_factory=dict)
    """Text by name."""
    paused_schedules: frozenset[str] = frozenset()

    jobs: dict[int, models.Job] = field(default_factory=dict)
    attempts: Sequence[models.Attempt] = ()
    dead_letters: Sequence[models.DeadLetter] = ()
    dead_letter_groups: Sequence[models.DeadLetterGroup] = ()
    rollups: Sequence[models.Rollup] = ()
    batches: Sequence[models.Batch] = ()
    batch_jobs: Sequence[models.BatchJob] = ()
    count_deltas: Sequence[models.BatchCountDelta] = ()
    dependencies: Sequence[models.Dependency] = ()
    expiries: Sequence[models.Expiry] = ()
    keys: Sequence[models.EnqueueKey] = ()
    limits: Sequence[models.Limit] = ()
    limit_signals: Sequence[models.LimitSignal] = ()
    permits: Sequence[models.Permit] = ()
    retentions: Sequence[models.ResultRetention] = ()
    schedules: Sequence[models.CronSchedule] = ()
    ticks: Sequence[models.Tick] = ()


def read_facts(
    path: Path,
    *,
    promises: Sequence[Promise] = (),
    cancelled: dict[int, float] | None = None,
    claimed_while_paused: frozenset[tuple[int, int]] = frozenset(),
    paused_schedules: frozenset[str] = frozenset(),
    crashed: bool = False,
    results: Path | None = None,
) -> Facts:
    """Read all rows. ``path`` is the file that was given to the jobs, ``results`` the folder of large results."""
    return Facts(
        promises=promises,
        runs=read_runs(path),
        cancelled=cancelled or {},
        claimed_while_paused=claimed_while_paused,
        crashed=crashed,
        effects=Counter(Customer.objects.values_list("name", flat=True)),
        files={str(file.relative_to(results)): file.read_text() for file in results.rglob("*.json")} if results else {},
        paused_schedules=paused_schedules,
        jobs={job.pk: job for job in models.Job.objects.order_by("pk")},
        attempts=_all(models.Attempt),
        dead_letters=_all(models.DeadLetter),
        dead_letter_groups=_all(models.DeadLetterGroup),
        rollups=_all(models.Rollup),
        batches=_all(models.Batch),
        batch_jobs=_all(models.BatchJob),
        count_deltas=_all(models.BatchCountDelta),
        dependencies=_all(models.Dependency),
        expiries=_all(models.Expiry),
        keys=_all(models.EnqueueKey),
        limits=_all(models.Limit),
        limit_signals=_all(models.LimitSignal),
        permits=list(models.Permit.objects.all()),
        retentions=_all(models.ResultRetention),
        schedules=_all(models.CronSchedule),
        ticks=list(models.Tick.objects.order_by("schedule", "due_at")),
    )


def _all(model: type[Model]) -> list[Model]:
    return list(model._default_manager.order_by("pk"))


def read_runs(path: Path) -> list[Run]:
    """Return the runs of the file by job and time: each line has word, job, key and instant."""
    lines = [line.split(",") for line in path.read_text().splitlines()]
    told = sorted((int(job_id), float(at), word, key) for word, job_id, key, at in lines)
    runs: list[Run] = []
    for job_id, group in groupby(told, key=lambda line: line[0]):
        begun: tuple[str, float] | None = None
        for _, at, word, key in group:
            if begun:
                runs.append(Run(job_id=job_id, key=key, began=begun[1], ended=at if word == "end" else None))
            begun = (key, at) if word == "begin" else None
        if begun:
            runs.append(Run(job_id=job_id, key=begun[0], began=begun[1], ended=None))
    return runs


def unfinished() -> QuerySet[models.Job]:
    return models.Job.objects.exclude(state__in=FINAL_STATES)


def what_is_left() -> dict[str, int]:
    """Return how much the workers have still to do, by what it is; empty if nothing."""
    left = {
        "jobs": unfinished().count(),
        "batches": models.Batch.objects.exclude(state__in=FINAL_BATCH_STATES).count(),
        "count deltas": models.BatchCountDelta.objects.count(),
        "limit signals": models.LimitSignal.objects.count(),
        "permits": models.Permit.objects.filter(phase__in=[PermitPhase.WAITING, PermitPhase.HELD]).count(),
    }
    return {what: number for what, number in left.items() if number}
