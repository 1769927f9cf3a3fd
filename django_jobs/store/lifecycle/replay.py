"""Replay: enqueue copies of jobs, whatever state the originals are in."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from functools import cache, partial
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import QuerySet

from ... import signals
from ...exceptions import PayloadTooLargeError, ResultNotPassedError
from ...log_records import log_job
from ...models import Job
from ...policy.metadata import MetadataSource, copied_metadata, no_metadata
from ...policy.states import State
from ..clock import DatabaseNow
from ..dialects import open_dialect
from ..dialects.base.jobs import NewJob
from ..enqueue.insert import enqueue_payloads, serialize_arguments
from ..notify import notify_on_commit
from ..results.inputs import with_results
from ..selection import JobTarget, alias_of
from ..transactions import after_commit

logger = logging.getLogger("django_jobs.store")

CHUNK_SIZE = 500


def replay(target: JobTarget, *, metadata_source: MetadataSource = no_metadata, using: str | None = None) -> list[int]:
    """Enqueue copies, as ``operations.replay`` describes; ``metadata_source`` returns what hooks add to them."""
    dialect, connection = open_dialect(alias_of(target, using))
    copies: list[int] = []
    for originals in _chunks(target, connection.alias):
        with dialect.write_transaction(connection):
            for original in originals:
                original.arguments = _with_results(original, connection.alias)
            copies += _copy(originals, metadata_source, connection)
    return copies


def replay_chunk(
    originals: QuerySet[Job], *, metadata_source: MetadataSource = no_metadata, using: str | None = None
) -> int:
    """Copy the first 500 of these jobs in one transaction and return how many.

    A job whose passed results no longer exist is skipped and logged.
    """
    dialect, connection = open_dialect(using)
    with dialect.write_transaction(connection):
        chunk = list(_copyable(originals.using(connection.alias).order_by("pk")[:CHUNK_SIZE], connection.alias))
        return len(_copy(chunk, metadata_source, connection)) if chunk else 0


def _chunks(target: JobTarget, alias: str) -> Iterator[list[Job]]:
    """Yield the jobs that exist now, in order of id."""
    if isinstance(target, QuerySet):
        jobs = target.using(alias)
    else:
        jobs = Job.objects.using(alias).filter(pk=target.pk if isinstance(target, Job) else target)
    if jobs.query.is_sliced:
        raise TypeError("expected a queryset without a slice; name the ids in it instead")
    jobs = jobs.order_by("pk")
    newest = jobs.reverse().values_list("pk", flat=True).first()
    last = 0
    while chunk := list(jobs.filter(pk__gt=last, pk__lte=newest or 0)[:CHUNK_SIZE]):
        yield chunk
        last = chunk[-1].pk


def _copyable(originals: Iterable[Job], alias: str) -> Iterator[Job]:
    for original in originals:
        try:
            original.arguments = _with_results(original, alias)
        except ResultNotPassedError as error:
            log_job(logger, logging.WARNING, original, "is not copied: %s", error)
        else:
            yield original


def _with_results(original: Job, alias: str) -> Any:
    """Return the arguments with passed results filled in. Raises ResultNotPassedError if missing or too large."""
    filled = with_results(original.pk, original.arguments, using=alias)
    if filled is not original.arguments:
        try:
            serialize_arguments(original.name, filled)
        except PayloadTooLargeError as error:
            raise ResultNotPassedError(
                f"the results passed to job {original.pk} are too large for a copy: {error}"
            ) from error
    return filled


def _copy(originals: list[Job], source: MetadataSource, connection: BaseDatabaseWrapper) -> list[int]:
    alias, added = connection.alias, cache(source)
    new = [_copied(job, copied_metadata(job.metadata, original_id=job.pk, added=added(job.name))) for job in originals]
    if connection.features.can_return_rows_from_bulk_insert:
        copies = Job.objects.using(alias).bulk_create(new)
        ids = [copy.pk for copy in copies]
        notify_on_commit({original.queue_name for original in originals}, using=alias)
        if signals.job_enqueued.has_listeners(Job):
            after_commit(partial(_send_enqueued, ids, alias), using=alias)
        return ids
    return [
        job_id
        for copy in new
        for job_id in enqueue_payloads(_as_new(copy), [serialize_arguments(copy.name, copy.arguments)], using=alias)
    ]


def _copied(job: Job, metadata: dict[str, object]) -> Job:
    return Job(
        name=job.name,
        queue_name=job.queue_name,
        priority=job.priority,
        state=State.READY,
        arguments=job.arguments,
        metadata=metadata,
        max_attempts=job.max_attempts,
        enqueued_at=DatabaseNow(),
        ready_at=DatabaseNow(),
    )


def _as_new(copy: Job) -> NewJob:
    """Return a copy to insert one by one, for MySQL, which cannot return the ids of many rows."""
    metadata = json.dumps(copy.metadata, ensure_ascii=False)
    return NewJob(copy.name, copy.queue_name, copy.priority, copy.max_attempts, metadata)


def _send_enqueued(ids: list[int], alias: str) -> None:
    for job in Job.objects.using(alias).filter(pk__in=ids).order_by("pk"):
        signals.job_enqueued.send_robust(sender=Job, job=job)
