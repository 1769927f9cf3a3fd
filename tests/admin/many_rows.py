"""So many rows beside those of ``every_page.py`` that a statement for each would be more than a page may take."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar
from uuid import uuid4

from django.db.models import Model, QuerySet

from django_jobs.models import (
    Attempt,
    Batch,
    BatchJob,
    CronSchedule,
    DeadLetter,
    Dependency,
    EnqueueKey,
    Job,
    JobLog,
    Limit,
    OnceRecord,
    Permit,
    Queue,
    Tick,
    Worker,
)
from django_jobs.policy.flags import JobFlag
from django_jobs.policy.limits import PermitPhase
from django_jobs.policy.states import State
from django_jobs.web.models import Token
from tests import factories

M = TypeVar("M", bound=Model)
MANY = 25
LINKS = JobFlag.IN_BATCH | JobFlag.LIMITED | JobFlag.HAS_DEPENDENTS


def add_many(rows: list[Model]) -> list[Job]:
    """Insert so many of everything, most of it around the rows given, and return a job of each state in the middle."""
    names = [f"shop.send_{at}" for at in range(MANY)]
    workers = clones(_first(rows, Worker), hostname=names)
    middle = [factories.make_job(state, flags=LINKS) for state in State]
    jobs = []
    for job in middle:
        running_on = {"worker_id": [one.pk for one in workers]} if job.state == State.RUNNING else {}
        jobs += clones(job, name=names, queue_name=names, **running_on)
    _add_around(middle, jobs, workers)
    _add_permits(middle, jobs, _first(rows, Limit))
    batch = _first(rows, Batch)
    insert(BatchJob, (BatchJob(job=job, batch=batch) for job in [*middle, *jobs]))
    clones(batch, parent_id=[batch.pk] * MANY, description=names)
    schedule = _first(rows, CronSchedule)
    for one in [schedule, *clones(schedule, name=names)]:
        times = [factories.ago(days=at) for at in range(1, 20)]
        insert(Tick, (Tick(schedule=one, due_at=at, decided_at=at, outcome="fired", job=jobs[0]) for at in times))
    letter = next(row for row in rows if isinstance(row, DeadLetter) and row.status == "open")
    _add_last_attempt(letter)
    clones(letter, job_id=[job.pk for job in jobs[:MANY]])
    clones(letter, job_id=[job.pk for job in jobs[:MANY]], fingerprint=[f"{at:032}" for at in range(MANY)])
    clones(_first(rows, Queue), name=names)
    clones(_first(rows, Token), key=names)
    for model in (EnqueueKey, OnceRecord):
        clones(_first(rows, model), digest=[uuid4() for _ in names], key=names)
    return middle


def _add_around(middle: list[Job], jobs: list[Job], workers: list[Worker]) -> None:
    """Add attempts with logs, predecessors and successors."""
    now = factories.ago()
    line = [[now.timestamp(), "INFO", "shop", "sent"]]
    for job in middle:
        insert(
            Attempt,
            (
                Attempt(
                    job=job, number=at, claim_number=at, worker=worker, outcome="failed", started_at=now,
                    finished_at=job.finished_at or now, error_class="builtins.ValueError", error_message="no",
                )
                for at, worker in enumerate(workers, start=2)
            ),
        )  # fmt: skip
        insert(JobLog, (JobLog(job=job, claim_number=at, data=line, head=1, total=1) for at in range(MANY)))
        insert(Dependency, (Dependency(job=job, predecessor=one) for one in jobs[::10]))
        insert(Dependency, (Dependency(job=one, predecessor=job) for one in jobs[5::10]))


def _add_last_attempt(letter: DeadLetter) -> None:
    """Add the attempt of which a job died, with a log, and results of other jobs to the job's arguments."""
    times = {"started_at": letter.died_at, "finished_at": letter.died_at}
    assert letter.job is not None
    factories.make_attempt(letter.job, number=5, claim_number=99, **times)
    JobLog.objects.create(job=letter.job, claim_number=99, data=[[1.5, "INFO", "shop", "sent"]], head=1, total=1)
    QuerySet(Job).filter(pk=letter.job.pk).update(arguments={"x": {"$type": "result", "job": 0}})


def _add_permits(middle: list[Job], jobs: list[Job], limit: Limit) -> None:
    limits = [limit, *clones(limit, id=list(range(1, MANY + 1)), name=[f"shop.send_{at}" for at in range(MANY)])]
    since = factories.ago(minutes=1)
    pairs = [*((job, limit) for job in jobs), *((job, one) for job in middle for one in limits[:10])]
    insert(
        Permit,
        (
            Permit(job=job, limit=one, kind=one.kind, since=since, phase=_phase(job), free_at=factories.ago(days=-1))
            for job, one in pairs
        ),
    )


def _phase(job: Job) -> PermitPhase:
    return PermitPhase.HELD if job.state == State.RUNNING else PermitPhase.WAITING


def clones(row: M, **values: list[Any]) -> list[M]:
    """Insert copies of a row, each with the next of the values of each column; return them."""
    model = type(row)
    before = set(QuerySet(model).values_list("pk", flat=True))
    fields = {key: value for key, value in _values(row).items() if not (key == "id" and "id" not in values)}
    insert(model, (model(**fields | dict(zip(values, one, strict=True))) for one in zip(*values.values(), strict=True)))
    return [one for one in QuerySet(model).order_by("pk") if one.pk not in before]


def insert(model: type[M], rows: Iterable[M]) -> None:
    QuerySet(model).bulk_create(rows)


def _values(row: Model) -> dict[str, Any]:
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}


def _first(rows: list[Model], model: type[M]) -> M:
    return next(row for row in rows if isinstance(row, model))
