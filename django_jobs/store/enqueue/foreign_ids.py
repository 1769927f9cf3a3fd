"""Ids by which another queue knew a job before it was moved here: rows of EnqueueKey, found by their digest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from uuid import UUID

from ...models import EnqueueKey, Job
from ...policy.uniqueness import KeyKind, key_digest
from ..clock import database_now
from ..dialects import open_dialect

KEPT = timedelta(days=365)
"""How long an id is kept, from the time at which its job is due."""


def save_foreign_ids(queue: str, jobs: Mapping[str, Job], *, using: str | None = None) -> None:
    """Keep the ids of these jobs in ``queue``, the name of the other one. One statement, in the caller's transaction.

    Raises IntegrityError if one is kept already.
    """
    _, connection = open_dialect(using)
    now = database_now(using=connection.alias)
    EnqueueKey.objects.using(connection.alias).bulk_create(
        EnqueueKey(
            digest=_digest(queue, foreign_id),
            kind=KeyKind.IDEMPOTENCY,
            job_name=job.name,
            key=foreign_id,
            job_id=job.pk,
            acquired_at=now,
            expires_at=(job.run_after or now) + KEPT,
        )
        for foreign_id, job in jobs.items()
    )


def find_foreign_ids(queue: str, foreign_ids: Iterable[str], *, using: str | None = None) -> dict[str, int]:
    """Return the primary keys of the jobs that ``queue`` knew by these ids. One statement."""
    _, connection = open_dialect(using)
    digests = {_digest(queue, foreign_id): foreign_id for foreign_id in foreign_ids}
    found = EnqueueKey.objects.using(connection.alias).filter(pk__in=digests).values_list("digest", "job_id")
    return {digests[digest]: job_id for digest, job_id in found}


def _digest(queue: str, foreign_id: str) -> UUID:
    return UUID(key_digest("foreign", queue, foreign_id))
