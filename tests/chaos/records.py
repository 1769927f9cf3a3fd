"""Read what the audit compares: the rows of the database, and the file in which jobs said that they began."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from django.db.models import QuerySet

from django_jobs.models import Attempt, Job
from django_jobs.policy.states import FINAL_STATES
from tests.sampleapp.models import Customer

from . import jobs as kinds
from .audit import JobRecord


def unfinished() -> QuerySet[Job]:
    return Job.objects.exclude(state__in=FINAL_STATES)


def read_records(path: Path) -> dict[int, JobRecord]:
    """Return all jobs by id; ``path`` is the file that was given to them."""
    begun = Counter(int(line) for line in path.read_text().splitlines())
    effects = Counter(Customer.objects.values_list("name", flat=True))
    tries: dict[int, list[tuple[int, str]]] = {}
    for job_id, claim_number, outcome in Attempt.objects.values_list("job_id", "claim_number", "outcome"):
        tries.setdefault(job_id, []).append((claim_number, outcome))
    return {
        job.pk: JobRecord(
            name=job.name,
            state=job.state,
            max_attempts=job.max_attempts,
            tries=tries.get(job.pk, []),
            begun=begun[job.pk],
            effects=effects[f"effect of {job.pk}"] if job.name == kinds.effect.name else None,
        )
        for job in Job.objects.all()
    }
