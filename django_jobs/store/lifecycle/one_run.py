"""A job that is made for one run and deleted after it, outside of the queue: no worker can claim it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...models import DeadLetter, Job
from ...policy.states import State
from ..clock import DatabaseNow
from ..dialects import open_dialect
from ..dialects.base.jobs import Claim, NewJob
from ..dialects.shared.by_id import delete_rows
from ..enqueue.insert import check_metadata_size, serialize_arguments
from .deletable import lock_deletable
from .purge import delete_jobs


def insert_running(
    new: NewJob, arguments: Mapping[str, Any], *, attempt: int, worker_id: int, using: str | None = None
) -> Claim:
    """Insert a job that the worker is running, in its n-th attempt, and return the claim. Two statements, no signal."""
    dialect, connection = open_dialect(using)
    text = serialize_arguments(new.name, arguments)
    check_metadata_size(new)
    with dialect.write_transaction(connection):
        (inserted,) = dialect.jobs.insert_jobs(connection, new._replace(blocked=True), [text])
        Job.objects.using(connection.alias).filter(pk=inserted.job_id).update(
            state=State.RUNNING,
            attempt=attempt,
            claim_number=attempt,
            worker=worker_id,
            ready_at=DatabaseNow(),
            started_at=DatabaseNow(),
        )
    enqueued = inserted.enqueued_at.timestamp()
    return Claim(
        job_id=inserted.job_id,
        claim_number=attempt,
        name=new.name,
        queue_name=new.queue_name,
        priority=new.priority,
        attempt=attempt,
        max_attempts=new.max_attempts,
        arguments=text,
        metadata=new.metadata,
        enqueued=enqueued,
        ready=enqueued,
        unknown_since=None,
        claimed=enqueued,
        flags=new.flags,
    )


def delete_run(job_id: int, *, using: str | None = None) -> None:
    """Delete a job with its attempts, log and dead letter, whatever its state; a dependent's predecessor stays."""
    dialect, connection = open_dialect(using)
    alias = connection.alias
    with dialect.write_transaction(connection):
        deletable = lock_deletable([job_id], states=frozenset(State), using=alias)
        delete_rows(DeadLetter.objects.using(alias).filter(job__in=deletable))
        delete_jobs(deletable, using=alias)
