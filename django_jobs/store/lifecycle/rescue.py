"""Rescue the claims of lost workers: save them as lost by the same guarded finish as any other outcome."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection
from datetime import datetime

from ...models import Job, Worker
from ...observers import tell_runs_ended
from ...policy.decide import DecisionSettings, JobFacts, decide
from ...policy.flags import JobFlag
from ...policy.outcomes import Cancelled, Error, Lost, Released, UnraisedError
from ...policy.states import State
from ..clock import database_now
from ..dialects import open_dialect
from ..dialects.base.jobs import FinishedRun
from ..dialects.shared.reads import read_orphaned_ids
from ..workers import set_worker_state
from .end_log import log_end
from .finish import finish
from .signals import announce_ends
from .unanswered_claims import as_claim

BATCH_SIZE = 500
NO_WORKER_ID = -1
"""Owner of jobs that run under no worker: no operation makes such a row, a restored backup may."""


def rescue(
    *,
    rules: DecisionSettings,
    worker_id: int | None = None,
    ran: Collection[int] | None = None,
    reason: str = "",
    counts_as_death: bool = True,
    using: str | None = None,
) -> int:
    """Decide and save ``Lost`` for up to 500 jobs that run under a lost, stopped or deleted worker.

    ``counts_as_death`` False: ``Released`` instead, or ``Cancelled`` if cancellation was requested.
    A claim that a worker made after it was declared lost, and before its next heartbeat told it, is released: it lives.
    ``worker_id`` limits it to that worker; ``ran`` are the ids of the jobs whose functions had started, None if nobody
    can tell. Returns how many were rescued; call again until 0. The finish names worker and claim number: if a worker
    believed dead finishes first, the rescue changes nothing, and the other way round.
    """
    _, connection = open_dialect(using)
    now = database_now(using=connection.alias)
    orphaned = read_orphaned_ids(connection, limit=BATCH_SIZE, worker_id=worker_id)
    rescued = 0
    by_worker = _by_worker(orphaned, connection.alias)
    lost_at = {} if worker_id is not None or not by_worker else _lost_at(by_worker, connection.alias)
    for owner, jobs in by_worker.items():
        lost_reason = reason or f"worker {owner} died or stopped responding while it had this job"
        ended = []
        for job in jobs:
            had_started = ran is None or job.pk in ran
            lost = Lost(reason=lost_reason, ran=had_started)
            is_death = counts_as_death and not _was_claimed_after(lost_at.get(owner), job)
            outcome = lost if is_death else _outcome_of_kill(job, reason, had_started=had_started)
            ended.append(_ended_run(job, outcome, had_started=had_started, now=now, rules=rules))
        saved = finish(ended, worker_id=owner, using=connection.alias)
        announced = [run for run in ended if run.claim.job_id in saved]
        for run in announced:
            log_end(run)
        tell_runs_ended(announced)
        announce_ends(announced, worker_id=owner, using=connection.alias)
        rescued += len(saved)
    return rescued


def rescue_worker(
    worker_id: int,
    *,
    rules: DecisionSettings,
    ran: Collection[int] | None = None,
    reason: str = "",
    counts_as_death: bool = True,
    using: str | None = None,
) -> int:
    """Mark one worker lost and rescue all its claims now; for a supervisor that saw the process die.

    ``counts_as_death`` False: it was killed on purpose, for a job that is finished already, or whose cancellation was
    requested; the others are released.
    """
    set_worker_state(worker_id, Worker.State.LOST, using=using)
    rescued = 0
    while batch := rescue(
        rules=rules, worker_id=worker_id, ran=ran, reason=reason, counts_as_death=counts_as_death, using=using
    ):
        rescued += batch
    return rescued


def _by_worker(ids: list[int], alias: str) -> dict[int, list[Job]]:
    jobs: dict[int, list[Job]] = defaultdict(list)
    running = Job.objects.using(alias).filter(pk__in=ids, state=State.RUNNING)
    running.filter(worker__isnull=True).update(worker=NO_WORKER_ID)
    rows = running.filter(worker__isnull=False)
    for job in rows.defer("arguments", "result_data").order_by("pk"):
        jobs[job.worker_id].append(job)  # type: ignore[index]  # filtered to be set
    return jobs


def _lost_at(worker_ids: Collection[int], alias: str) -> dict[int, datetime | None]:
    """Return when each of these workers was declared lost; those that stopped or were deleted are left out."""
    lost = Worker.objects.using(alias).filter(pk__in=worker_ids, state=Worker.State.LOST)
    return dict(lost.values_list("pk", "stopped_at"))


def _was_claimed_after(lost_at: datetime | None, job: Job) -> bool:
    return lost_at is not None and job.started_at is not None and job.started_at > lost_at


def _outcome_of_kill(job: Job, reason: str, *, had_started: bool) -> Released | Cancelled:
    if had_started and job.flags & JobFlag.CANCEL_REQUESTED:
        return Cancelled(error=Error.unraised(UnraisedError.CANCELLED, reason))
    return Released(started=had_started)


def _ended_run(
    job: Job, outcome: Lost | Released | Cancelled, *, had_started: bool, now: datetime, rules: DecisionSettings
) -> FinishedRun:
    facts = JobFacts(
        job.attempt,
        job.max_attempts,
        worker_deaths=job.worker_deaths,
        is_limited=bool(job.flags & JobFlag.LIMITED),
    )
    decision = decide(outcome, facts, rules=rules)
    claim = as_claim(job, now=now)._replace(metadata=json.dumps(job.metadata))
    started = job.started_at.timestamp() if job.started_at and had_started else None
    return FinishedRun(claim=claim, decision=decision, started=started, finished=now.timestamp(), fingerprint="")
