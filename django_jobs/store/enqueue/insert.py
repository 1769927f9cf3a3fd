"""Insert jobs in the caller's transaction, and notify workers after its commit."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any

from ... import signals
from ...conf import get_settings
from ...exceptions import PayloadTooLargeError
from ...models import Job
from ...policy.flags import JobFlag
from ...policy.limits import RequiredPermit
from ...policy.states import State
from ..dialects import open_dialect
from ..dialects.base.jobs import GIVEN_COLUMNS, Inserted, NewJob
from ..limits.permits import insert_permits
from ..notify import notify_on_commit
from ..transactions import after_commit, savepoint
from .expiry import insert_expiries

ROWS_PER_STATEMENT = 5_000
BYTES_PER_STATEMENT = 4_000_000
"""Well under MySQL's smallest default ``max_allowed_packet``."""


def enqueue(
    new: NewJob,
    arguments: Sequence[Mapping[str, Any]],
    *,
    needs: Sequence[Sequence[RequiredPermit]] = (),
    using: str | None = None,
) -> list[Job]:
    """Insert one job for each of ``arguments`` (JSON-only dicts) and return them in that order.

    ``needs``: the limits of each; empty if none of the jobs is under a limit.

    One statement for 5,000 jobs or 4 MB of arguments; more are inserted in one transaction. Raises
    PayloadTooLargeError before anything is written. Never retries: after an error the caller's transaction is broken.
    """
    texts = [serialize_arguments(new.name, values) for values in arguments]
    check_metadata_size(new)
    if not texts:
        return []
    _, connection = open_dialect(using)
    if any(needs):
        jobs = _insert_limited(new, arguments, texts, needs, connection.alias)
    else:
        inserted = _insert(new, texts, connection.alias)
        jobs = build_jobs(connection.alias, new, arguments, inserted)
    return send_enqueued_on_commit(jobs, using=connection.alias)


def enqueue_payloads(new: NewJob, texts: Sequence[str], *, using: str | None = None) -> list[int]:
    """Enqueue jobs whose arguments are serialized already, and return their ids only.

    It builds no object for each job and takes half of the time.
    """
    _, connection = open_dialect(using)
    inserted = _insert(new, texts, connection.alias)
    if signals.job_enqueued.has_listeners(Job):
        send_enqueued_on_commit(
            build_jobs(connection.alias, new, list(map(json.loads, texts)), inserted), using=connection.alias
        )
    return [row.job_id for row in inserted]


def enqueue_stream(new: NewJob, texts: Iterable[str], *, using: str | None = None) -> Iterator[list[int]]:
    """Enqueue any number of serialized arguments, and yield the ids of 5,000 jobs at a time.

    All or none, in one transaction, or a savepoint of the caller's; read the iterator to its end. At most one chunk is
    in memory, unless ``job_enqueued`` has a receiver.
    """
    _, connection = open_dialect(using)
    left = iter(texts)
    with savepoint(using=connection.alias):
        while chunk := list(islice(left, ROWS_PER_STATEMENT)):
            yield enqueue_payloads(new, chunk, using=connection.alias)


def serialize_arguments(name: str, arguments: Mapping[str, Any]) -> str:
    """Return a job's arguments as JSON text, or raise PayloadTooLargeError."""
    text = json.dumps(arguments, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    _check_size(name, "arguments", text)
    return text


def as_limited(new: NewJob) -> NewJob:
    """Return a new job as one that waits until its limits admit it."""
    return new._replace(blocked=True, flags=new.flags | JobFlag.LIMITED)


def check_metadata_size(new: NewJob) -> None:
    """Raise PayloadTooLargeError if the metadata is larger than the settings allow."""
    _check_size(new.name, "metadata", new.metadata)


def notify_on_enqueue(new: NewJob, inserted: Inserted, *, using: str) -> None:
    """Wake workers after the commit for new jobs that are ready, or due within ten seconds."""
    if inserted.state != State.SCHEDULED or (new.delay_seconds is not None and new.delay_seconds < 10):
        notify_on_commit([new.queue_name], using=using)


def send_enqueued_on_commit(jobs: list[Job], *, using: str) -> list[Job]:
    """Send ``job_enqueued`` for each after the commit, if it has a receiver, and return the jobs."""
    if signals.job_enqueued.has_listeners(Job):
        after_commit(partial(_send_enqueued, jobs), using=using)
    return jobs


def build_jobs(
    alias: str, new: NewJob, arguments: Sequence[Mapping[str, Any]], inserted: Sequence[Inserted]
) -> list[Job]:
    """Return inserted jobs as objects, without reading them back."""
    metadata = json.loads(new.metadata)
    return [_build_job(alias, new, metadata, values, row) for values, row in zip(arguments, inserted, strict=True)]


def _insert_limited(
    new: NewJob,
    arguments: Sequence[Mapping[str, Any]],
    texts: Sequence[str],
    needs: Sequence[Sequence[RequiredPermit]],
    alias: str,
) -> list[Job]:
    """Insert jobs of which some are under limits: those become blocked, with their permits, in one transaction."""
    dialect, connection = open_dialect(alias)
    limited = as_limited(new)
    jobs: dict[int, Job] = {}
    with dialect.write_transaction(connection):
        for kind in (limited, new):
            places = [at for at, required in enumerate(needs) if bool(required) is (kind is limited)]
            if not places:
                continue
            inserted = _insert(kind, [texts[at] for at in places], alias)
            made = build_jobs(alias, kind, [arguments[at] for at in places], inserted)
            jobs.update(zip(places, made, strict=True))
            if kind is limited:
                wanted = [(job.pk, needs[at]) for at, job in zip(places, made, strict=True)]
                waiting = inserted[0].state == State.BLOCKED
                insert_permits(wanted, priority=new.priority, waiting=waiting, using=alias)
    return [job for _, job in sorted(jobs.items())]


def _insert(new: NewJob, texts: Sequence[str], alias: str) -> list[Inserted]:
    dialect, connection = open_dialect(alias)
    chunks = list(_chunks(texts))
    if len(chunks) == 1 and not new.expires:
        inserted = dialect.jobs.insert_jobs(connection, new, texts)
    else:
        with dialect.write_transaction(connection):
            inserted = [row for chunk in chunks for row in dialect.jobs.insert_jobs(connection, new, chunk)]
            insert_expiries(new, inserted, using=alias)
    notify_on_enqueue(new, inserted[0], using=alias)
    return inserted


def _check_size(name: str, what: str, text: str) -> None:
    max_bytes = get_settings().enqueue.max_payload_bytes
    if len(text) * 4 > max_bytes and (size := len(text.encode())) > max_bytes:
        raise PayloadTooLargeError(
            f"{name}: {what} of {size} bytes; DJANGO_JOBS['ENQUEUE']['MAX_PAYLOAD_BYTES'] allows {max_bytes}. Keep"
            " large data in a table or a file and enqueue its key"
        )


def _chunks(texts: Sequence[str]) -> Iterator[list[str]]:
    chunk: list[str] = []
    size = 0
    for text in texts:
        if chunk and (len(chunk) == ROWS_PER_STATEMENT or size + len(text) > BYTES_PER_STATEMENT):
            yield chunk
            chunk, size = [], 0
        chunk.append(text)
        size += len(text)
    yield chunk


_JOB_FIELDS = [field.attname for field in Job._meta.concrete_fields]


def _build_job(alias: str, new: NewJob, metadata: dict[str, Any], arguments: Mapping[str, Any], row: Inserted) -> Job:
    values: dict[str, Any] = dict.fromkeys(_JOB_FIELDS)
    values.update(
        zip(GIVEN_COLUMNS, new.given, strict=True),
        id=row.job_id,
        state=row.state,
        arguments=arguments,
        metadata=dict(metadata),
        attempt=0,
        claim_number=0,
        worker_deaths=0,
        enqueued_at=row.enqueued_at,
        run_after=row.run_after,
        ready_at=row.ready_at,
        progress_message="",
    )
    return Job.from_db(alias, _JOB_FIELDS, list(values.values()))


def _send_enqueued(jobs: list[Job]) -> None:
    for job in jobs:
        signals.job_enqueued.send_robust(sender=Job, job=job)
