"""Rows edited by hand until no verb could have written them: set aside, with the reason, and the queue moves on."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from django_jobs.models import DeadLetter, Job
from django_jobs.policy.states import State
from tests import factories
from tests.sampleapp import jobs as sample

from .conftest import StartWorker
from .running import ended, outcomes

UNREADABLE = {
    "arguments are no object": ("arguments", [1, 2]),
    "arguments are text": ("arguments", "seven"),
    "arguments have an unknown tag": ("arguments", {"left": {"$type": "sorcery"}}),
    "surplus positions are no array": ("arguments", {"*": 5}),
    "surplus keywords are no object": ("arguments", {"**": [5]}),
    "metadata is no object": ("metadata", ["tenant"]),
}


def _poison(column: str, value: object) -> Job:
    """Enqueue a job and overwrite one of its columns, as a person with a SQL shell would."""
    job = sample.add.enqueue(1, 2)
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE django_jobs_job SET {column} = %s WHERE id = %s", [value, job.pk])
    return job


def test_what_cannot_be_read_is_set_aside_with_the_reason(start_worker: StartWorker) -> None:
    poisoned = {what: _poison(column, json.dumps(value)) for what, (column, value) in UNREADABLE.items()}
    well = sample.add.enqueue(1, 2)

    worker = start_worker("--concurrency", "1", "--burst")

    assert worker.wait() == 0, worker.output
    assert (well.refresh().state, well.result) == ("succeeded", 3)
    for what, job in poisoned.items():
        letter = DeadLetter.objects.get(job=job.pk)
        assert (job.refresh().state, letter.reason) == ("dead", "unreadable"), what
        assert letter.error_class == "django_jobs.exceptions.SerializationError", what
        assert outcomes(job) == ["unreadable"], what
    assert "died" not in worker.output


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="only SQLite stores a column's value of any type")
def test_sqlite_jobs_with_damaged_values_are_set_aside_or_run(start_worker: StartWorker) -> None:
    due = sample.add.using(run_after=timedelta(hours=1)).enqueue(1, 2)
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA ignore_check_constraints = ON")
        cursor.execute("UPDATE django_jobs_job SET run_after = '' WHERE id = %s", [due.pk])
        broken = _poison("arguments", "{'left': 1")
        undated = _poison("ready_at", "yesterday, I think")
        unborn = _poison("enqueued_at", "long ago")
        cursor.execute("PRAGMA ignore_check_constraints = OFF")
    well = sample.add.enqueue(1, 2)

    start_worker("--concurrency", "1")

    assert ended(well, broken, undated, unborn, due) == ["succeeded", "dead", *["succeeded"] * 3]


@pytest.mark.parametrize(
    ("state", "fields"),
    [
        (State.READY, {"ready_at": None}),
        (State.SCHEDULED, {"run_after": None}),
        (State.READY, {"attempt": 5, "max_attempts": 5}),
        (State.SCHEDULED, {"attempt": -1}),
        (State.RUNNING, {"priority": 101}),
        (State.SUCCEEDED, {"state": "done"}),
    ],
)
@pytest.mark.django_db(transaction=True)
def test_the_database_refuses_a_row_that_contradicts_itself(state: State, fields: dict[str, Any]) -> None:
    job = factories.make_job(state)
    with pytest.raises(IntegrityError, match="django_jobs_job_"), transaction.atomic():
        Job.objects.filter(pk=job.pk).update(**fields)


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="only SQLite stores a column's value of any type")
@pytest.mark.django_db(transaction=True)
def test_sqlite_refuses_a_priority_that_is_no_number() -> None:
    job = sample.add.enqueue(1, 2)
    with pytest.raises(IntegrityError, match="django_jobs_job_priority"), connection.cursor() as cursor:
        cursor.execute("UPDATE django_jobs_job SET priority = 'high' WHERE id = %s", [job.pk])
