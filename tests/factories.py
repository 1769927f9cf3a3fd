"""One factory a model. Each makes a row that could really be there, in any state, past the engine's verbs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import models

from django_jobs.models import (
    AlertHistory,
    Attempt,
    Batch,
    BatchJob,
    CronSchedule,
    DeadLetter,
    Dependency,
    Deploy,
    Expiry,
    Job,
    Limit,
    Permit,
    Queue,
    Rollup,
    Tick,
    Worker,
)
from django_jobs.policy.claim_cursors import ClaimCursors
from django_jobs.policy.decide import DecisionSettings, JobFacts, decide
from django_jobs.policy.flags import JobFlag
from django_jobs.policy.limits import (
    CircuitBreaker,
    Concurrency,
    Ordering,
    PermitPhase,
    RateLimit,
    required_permit,
)
from django_jobs.policy.outcomes import Error, Failed, Outcome
from django_jobs.policy.rollup import ALL_QUEUES, span_start
from django_jobs.policy.states import State
from django_jobs.store.clock import database_now
from django_jobs.store.dialects.base.jobs import Claim, FinishedRun
from django_jobs.store.lifecycle.claim import claim_by_priority, refresh_cursors

RULES = DecisionSettings(unknown_retry_delay=timedelta(minutes=1), unknown_ttl=timedelta(days=1), max_worker_deaths=3)


def ago(**duration: float) -> datetime:
    """Return an instant that long before the database's now: ``ago(minutes=5)``."""
    return database_now() - timedelta(**duration)


def make_worker(**fields: Any) -> Worker:
    now = database_now()
    values = {
        "hostname": "host",
        "pid": 1,
        "concurrency": 1,
        "version": "0",
        "started_at": now,
        "heartbeat_at": now,
    }
    return Worker.objects.create(**(values | fields))


def make_deploy(release: str, **fields: Any) -> Deploy:
    """Return a deploy, the newest of its project so far."""
    project, at = fields.get("project", "shop"), fields.get("first_seen_at") or database_now()
    values = {"project": project, "first_seen_at": at, "last_seen_at": at}
    number = Deploy.objects.filter(project=project).count() + 1
    return Deploy.objects.create(release=release, **({"number": number} | values | fields))


def make_job(state: State = State.READY, **fields: Any) -> Job:
    """Return a job in ``state`` with the columns that this state has."""
    now = database_now()
    values: dict[str, Any] = {
        "name": "sample",
        "queue_name": "default",
        "state": state.value,
        "max_attempts": 5,
        "enqueued_at": now,
        **_columns(state, now, fields),
    }
    job = Job(**(values | fields))
    models.Model.save(job, force_insert=True)
    return job.refresh()


def make_jobs(number: int, state: State = State.READY, **fields: Any) -> list[Job]:
    return [make_job(state, **fields) for _ in range(number)]


def make_queues_of_one_job(number: int, **fields: Any) -> None:
    """Insert one ready job for each of so many queues, in few statements."""
    now = database_now()
    values = {"name": "sample", "state": State.READY.value, "max_attempts": 5, "enqueued_at": now, "ready_at": now}
    rows = [Job(**({"queue_name": f"customer {at}"} | values | fields)) for at in range(number)]
    models.QuerySet(Job).bulk_create(rows, batch_size=500)


def make_attempt(job: Job, **fields: Any) -> Attempt:
    now = database_now()
    values = {
        "job": job,
        "number": 1,
        "claim_number": 1,
        "outcome": "failed",
        "ready_at": now,
        "started_at": now,
        "finished_at": now,
    }
    return Attempt.objects.create(**(values | fields))


def make_letter(job: Job | None = None, **fields: Any) -> DeadLetter:
    """Return an open letter; of a dead job of its own where none is given."""
    if job is None and "job" not in fields:
        job = make_job(State.DEAD)
    values = {
        "job": job,
        "job_name": job.name if job else "sample",
        "queue_name": job.queue_name if job else "default",
        "reason": "attempts_used_up",
        "attempt": 5,
        "error_class": "builtins.RuntimeError",
        "error_message": "it broke",
        "traceback": "",
        "fingerprint": "f" * 32,
        "died_at": database_now(),
    }
    return DeadLetter.objects.create(**(values | fields))


def make_queue(name: str = "default", **fields: Any) -> Queue:
    return Queue.objects.create(name=name, **fields)


def make_schedule(name: str = "sample", **fields: Any) -> CronSchedule:
    """Return a yearly schedule of staff that is due now, so that no turn of the clock makes it due again."""
    now = database_now()
    values = {
        "job_name": "tests.sampleapp.jobs.digest",
        "queue_name": "default",
        "max_attempts": 5,
        "cron": "" if "every" in fields else "@yearly",
        "next_due_at": now,
        "next_check_at": fields.get("next_due_at", now),
    }
    return CronSchedule.objects.create(name=name, **(values | fields))


def make_tick(schedule: CronSchedule, **fields: Any) -> Tick:
    now = database_now()
    values = {"due_at": now, "decided_at": now, "outcome": "fired"}
    return Tick.objects.create(schedule=schedule, **(values | fields))


def make_limit(
    given: RateLimit | Concurrency | Ordering | CircuitBreaker,
    *,
    name: str = "sample",
    key: str = "",
    **fields: Any,
) -> Limit:
    """Return the row of a limit as ``@job`` is given it."""
    one = required_permit(given.rule(), name=name, key=key)
    values = {"kind": one.rule.kind, "name": name, "key": key, "rule": one.rule.as_json()}
    return Limit.objects.create(id=one.limit_id, **(values | fields))


def make_permit(limit: Limit, job: Job | None = None, **fields: Any) -> Permit:
    """Return a permit that waits; of a blocked job of its own where none is given."""
    job = job or make_job(State.BLOCKED, flags=JobFlag.LIMITED)
    values = {"kind": limit.kind, "phase": PermitPhase.WAITING, "since": database_now()}
    return Permit.objects.create(job=job, limit=limit, **(values | fields))


def make_alerted_error(**fields: Any) -> AlertHistory:
    return AlertHistory.objects.create(**({"fingerprint": "f" * 32, "alerted_at": database_now()} | fields))


def make_batch(**fields: Any) -> Batch:
    """Return a batch that its builder has closed, without jobs."""
    now = database_now()
    values = {"created_at": now, "last_activity_at": now, "closed_at": now, "state": "running"}
    return Batch.objects.create(**(values | fields))


def make_batch_job(batch: Batch, state: State = State.READY, **fields: Any) -> Job:
    """Return a job of a batch; the batch's counts are the caller's to set."""
    job = make_job(state, flags=JobFlag.IN_BATCH, **fields)
    BatchJob.objects.create(job=job, batch=batch)
    return job


def make_dependency(job: Job, predecessor: Job, **fields: Any) -> Dependency:
    Job.objects.filter(pk=predecessor.pk).update(flags=predecessor.flags | JobFlag.HAS_DEPENDENTS)
    return Dependency.objects.create(job=job, predecessor=predecessor, **fields)


def make_expiry(job: Job, **fields: Any) -> Expiry:
    """Return until when a job, which has the link EXPIRES, is of use: an hour; to be looked at by then."""
    expires_at = fields.pop("expires_at", database_now() + timedelta(hours=1))
    return Expiry.objects.create(job=job, **({"expires_at": expires_at, "check_at": expires_at} | fields))


def make_backlog(levels: dict[str, Sequence[int]], *, ended: int = 0, running: int = 0) -> None:
    """Make the samples of the last minutes, the last of them that of this minute; ``ended`` attempts in each."""
    this_minute = span_start(database_now().timestamp(), 60)
    for back in range(max(map(len, levels.values()))):
        at = this_minute - timedelta(minutes=back)
        waiting = {name: numbers[-1 - back] for name, numbers in levels.items() if back < len(numbers)}
        for name, number in {**waiting, ALL_QUEUES: sum(waiting.values())}.items():
            values = {"waiting": number, "max_waiting": number, "running": running}
            if ended:
                values["succeeded"] = ended
            Rollup.objects.update_or_create(span_seconds=60, starts_at=at, queue_name=name, defaults=values)


def take(worker: Worker, limit: int = 100, *, queues: Sequence[str] | None = None) -> list[Claim]:
    """Look from the head and claim, as a worker that has just started does."""
    lines = ClaimCursors()
    refresh_cursors(lines, queues=queues)
    return claim_by_priority(lines, limit=limit, worker_id=worker.pk)


def ended(one: Claim, outcome: Outcome, *, seconds: float = 0.5) -> FinishedRun:
    """Return the end of a run that began when it was claimed and took ``seconds``."""
    unknown_for = (
        None if one.unknown_since is None else timedelta(seconds=database_now().timestamp() - one.unknown_since)
    )
    facts = JobFacts(
        attempt=one.attempt,
        max_attempts=one.max_attempts,
        unknown_for=unknown_for,
        is_limited=bool(one.flags & JobFlag.LIMITED),
    )
    decision = decide(outcome, facts, rules=RULES)
    started = one.claimed
    return FinishedRun(
        claim=one,
        decision=decision,
        started=started,
        finished=started + seconds,
        fingerprint=decision.error.fingerprint if decision.error else "",
    )


def failure(message: str = "it broke", *, retry_in: timedelta | None = timedelta(seconds=5)) -> Failed:
    return Failed(
        error=Error(
            error_class="builtins.RuntimeError",
            message=message,
            traceback="Traceback ...",
            fingerprint="a" * 32,
        ),
        retry_in=retry_in,
    )


def _columns(state: State, now: datetime, fields: dict[str, Any]) -> dict[str, Any]:
    match state:
        case State.BLOCKED:
            return {}
        case State.SCHEDULED:
            return {"run_after": now + timedelta(hours=1)}
        case State.READY:
            return {"ready_at": now}
        case State.RUNNING:
            worker = {} if {"worker", "worker_id"} & fields.keys() else {"worker": make_worker()}
            return {"ready_at": now, "started_at": now, "attempt": 1, "claim_number": 1, **worker}
        case State.CANCELLED:
            return {"finished_at": now}
        case State.SUCCEEDED | State.DEAD:
            return {"ready_at": now, "started_at": now, "finished_at": now, "attempt": 1, "claim_number": 1}
