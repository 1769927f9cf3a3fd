"""Find claims of a worker whose answer never reached it, because the connection broke."""

from __future__ import annotations

from collections.abc import Container
from datetime import datetime

from ...models import Job
from ...policy.states import State
from ..clock import database_now
from ..dialects import open_dialect
from ..dialects.base.jobs import Claim
from ..dialects.shared.reads import read_running_ids


def unanswered_claims(known: Container[int], *, worker_id: int, using: str | None = None) -> list[Claim]:
    """Return the worker's claims that it does not know: the server made them and the answer was lost.

    ``known`` are the ids of all jobs that the worker had before this call, from the one thread that claims for it.
    Two statements without locks.
    """
    _, connection = open_dialect(using)
    unknown = [job_id for job_id in read_running_ids(connection, worker_id=worker_id) if job_id not in known]
    if not unknown:
        return []
    now = database_now(using=connection.alias)
    jobs = Job.objects.using(connection.alias).filter(pk__in=unknown, state=State.RUNNING, worker=worker_id)
    return [as_claim(job, now=now) for job in jobs.defer("arguments", "metadata", "result_data")]


def as_claim(job: Job, *, now: datetime) -> Claim:
    """Return the claim of a running job, without the columns that only its run needs."""
    return Claim(
        job_id=job.pk,
        claim_number=job.claim_number,
        name=job.name,
        queue_name=job.queue_name,
        priority=job.priority,
        attempt=job.attempt,
        max_attempts=job.max_attempts,
        arguments="",
        metadata="",
        enqueued=job.enqueued_at.timestamp(),
        ready=(job.ready_at or job.enqueued_at).timestamp(),
        unknown_since=None,
        claimed=(job.started_at or now).timestamp(),
        worker_deaths=job.worker_deaths,
        flags=job.flags,
    )
