"""Insert jobs in the caller's transaction, and notify workers after its commit."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.base import ModelState
from django.db.models.signals import post_init, pre_init
from django.dispatch import Signal

from ... import signals
from ...conf import get_settings
from ...exceptions import PayloadTooLargeError
from ...models import Job
from ...policy.flags import JobFlag
from ...policy.limits import RequiredPermit
from ...policy.states import State
from ..dialects import Dialect, open_dialect
from ..dialects.base.jobs import GIVEN_COLUMNS, Inserted, NewJob
from ..limits.permits import insert_permits
from ..notify import is_notification_due, notifies_by_statement, notify_on_commit, record_notification
from ..transactions import after_commit, savepoint
from .expiry import insert_expiries

ROWS_PER_STATEMENT = 5_000
BYTES_PER_STATEMENT = 4_000_000
"""Well under MySQL's smallest default ``max_allowed_packet``."""


_last_seconds: dict[str, float] = {}
"""How long the last insert in autocommit took, with its commit, by database."""

_write_json = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


def enqueue(
    new: NewJob,
    arguments: Sequence[Mapping[str, Any]],
    *,
    needs: Sequence[Sequence[RequiredPermit]] = (),
    metadata: Sequence[str] = (),
    using: str | None = None,
) -> list[Job]:
    """Insert one job for each of ``arguments`` (JSON-only dicts) and return them in that order.

    ``needs``: the limits of each; empty if none of the jobs is under a limit. ``metadata``: JSON text for each instead
    of ``new.metadata``; empty if they share that.

    One statement for 5,000 jobs or 4 MB of arguments and metadata; more are inserted in one transaction. Raises
    PayloadTooLargeError before anything is written. Never retries: after an error the caller's transaction is broken.
    """
    texts = [serialize_arguments(new.name, values) for values in arguments]
    for text in metadata or [new.metadata]:
        _check_size(new.name, "metadata", text)
    if not texts:
        return []
    _, connection = open_dialect(using)
    if any(needs):
        jobs = _insert_limited(new, arguments, texts, needs, metadata, connection.alias)
    else:
        inserted = _insert(new, texts, connection.alias, metadata)
        jobs = build_jobs(connection.alias, new, arguments, inserted, metadata)
    return send_enqueued_on_commit(jobs, using=connection.alias)


def enqueue_payloads(
    new: NewJob, texts: Sequence[str], *, metadata: Sequence[str] = (), using: str | None = None
) -> list[int]:
    """Enqueue jobs whose arguments are serialized already, and return their ids only.

    It builds no object for each job and takes half of the time. ``metadata``: JSON text for each; empty if they share
    ``new.metadata``. Raises PayloadTooLargeError before anything is written.
    """
    for text in metadata or [new.metadata]:
        _check_size(new.name, "metadata", text)
    _, connection = open_dialect(using)
    inserted = _insert(new, texts, connection.alias, metadata)
    if _has_listeners(signals.job_enqueued):
        jobs = build_jobs(connection.alias, new, list(map(json.loads, texts)), inserted, metadata)
        send_enqueued_on_commit(jobs, using=connection.alias)
    return [row.job_id for row in inserted]


def enqueue_stream(new: NewJob, texts: Iterable[str], *, using: str | None = None) -> Iterator[list[int]]:
    """Enqueue any number of serialized arguments, and yield the ids of 5,000 jobs at a time.

    All or none, in one transaction, or a savepoint of the caller's; read the iterator to its end. At most one chunk is
    in memory, unless ``job_enqueued`` has a receiver.
    """
    check_metadata_size(new)
    _, connection = open_dialect(using)
    left = iter(texts)
    with savepoint(using=connection.alias):
        while chunk := list(islice(left, ROWS_PER_STATEMENT)):
            yield enqueue_payloads(new, chunk, using=connection.alias)


def serialize_arguments(name: str, arguments: Mapping[str, Any]) -> str:
    """Return a job's arguments as JSON text, or raise PayloadTooLargeError."""
    text = _write_json(arguments)
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
        priority = new.priority if inserted.state == State.READY else None
        notify_on_commit([new.queue_name], using=using, priority=priority)


def send_enqueued_on_commit(jobs: list[Job], *, using: str) -> list[Job]:
    """Send ``job_enqueued`` for each after the commit, if it has a receiver, and return the jobs."""
    if _has_listeners(signals.job_enqueued):
        after_commit(partial(_send_enqueued, jobs), using=using)
    return jobs


def build_jobs(
    alias: str,
    new: NewJob,
    arguments: Sequence[Mapping[str, Any]],
    inserted: Sequence[Inserted],
    metadata: Sequence[str] = (),
) -> list[Job]:
    """Return inserted jobs as objects, without reading them back."""
    shared = _NO_VALUES | dict(zip(GIVEN_COLUMNS, new.given, strict=True))
    common = {} if new.metadata == "{}" else json.loads(new.metadata)
    own = map(json.loads, metadata) if metadata else (dict(common) for _ in inserted)
    build = _build_announced if _has_listeners(pre_init) or _has_listeners(post_init) else _build_job
    return [build(alias, shared, values, of, row) for values, of, row in zip(arguments, own, inserted, strict=True)]


def _insert_limited(
    new: NewJob,
    arguments: Sequence[Mapping[str, Any]],
    texts: Sequence[str],
    needs: Sequence[Sequence[RequiredPermit]],
    metadata: Sequence[str],
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
            own = [metadata[at] for at in places] if metadata else ()
            inserted = _insert(kind, [texts[at] for at in places], alias, own)
            made = build_jobs(alias, kind, [arguments[at] for at in places], inserted, own)
            jobs.update(zip(places, made, strict=True))
            if kind is limited:
                wanted = [(job.pk, needs[at]) for at, job in zip(places, made, strict=True)]
                waiting = inserted[0].state == State.BLOCKED
                insert_permits(wanted, priority=new.priority, waiting=waiting, using=alias)
    return [job for _, job in sorted(jobs.items())]


def _insert(new: NewJob, texts: Sequence[str], alias: str, metadata: Sequence[str] = ()) -> list[Inserted]:
    dialect, connection = open_dialect(alias)
    chunks = [slice(None)] if len(texts) == 1 else list(_chunks(new, texts, metadata))
    if len(chunks) == 1 and not new.expires:
        return _insert_in_one_statement(dialect, connection, new, texts, metadata)
    with dialect.write_transaction(connection):
        inserted = [
            row for part in chunks for row in _insert_rows(dialect, connection, new, texts[part], metadata[part])
        ]
        insert_expiries(new, inserted, using=alias)
    notify_on_enqueue(new, inserted[0], using=alias)
    return inserted


def _insert_in_one_statement(
    dialect: Dialect, connection: BaseDatabaseWrapper, new: NewJob, texts: Sequence[str], metadata: Sequence[str]
) -> list[Inserted]:
    """Insert; in autocommit, wake workers by the same commit, if that will be due when it ends.

    It is expected to take as long as the last one. If it took longer, a notification may be due after it.
    """
    is_alone = not connection.in_atomic_block and connection.get_autocommit()
    may_notify = is_alone and not (new.blocked or new.delay_seconds or new.run_after)
    seconds = _last_seconds.get(connection.alias, 0.0)
    notify = (
        may_notify
        and notifies_by_statement(dialect)
        and is_notification_due(dialect, connection, new.queue_name, new.priority, within=seconds)
    )
    moment = time.monotonic()
    inserted = _insert_rows(dialect, connection, new, texts, metadata, notify=notify)
    if may_notify:
        _last_seconds[connection.alias] = time.monotonic() - moment
    if notify:
        record_notification(connection, new.queue_name, new.priority, moment)
    elif not may_notify or is_notification_due(dialect, connection, new.queue_name, new.priority):
        notify_on_enqueue(new, inserted[0], using=connection.alias)
    return inserted


def _insert_rows(
    dialect: Dialect,
    connection: BaseDatabaseWrapper,
    new: NewJob,
    texts: Sequence[str],
    metadata: Sequence[str],
    *,
    notify: bool = False,
) -> list[Inserted]:
    if len(metadata) == 1:
        new, metadata = new._replace(metadata=metadata[0]), ()
    return dialect.jobs.insert_jobs(connection, new, texts, metadata=metadata, notify=notify)


def _check_size(name: str, what: str, text: str) -> None:
    max_bytes = get_settings().enqueue.max_payload_bytes
    if len(text) * 4 > max_bytes and (size := len(text.encode())) > max_bytes:
        raise PayloadTooLargeError(
            f"{name}: {what} of {size} bytes; DJANGO_JOBS['ENQUEUE']['MAX_PAYLOAD_BYTES'] allows {max_bytes}. Keep"
            " large data in a table or a file and enqueue its key"
        )


def _chunks(new: NewJob, texts: Sequence[str], metadata: Sequence[str]) -> Iterator[slice]:
    """Yield the jobs of each statement. What they share counts for each: some statements have it in every row."""
    shared = len(new.name) + len(new.queue_name)
    first = size = 0
    for at, text in enumerate(texts):
        needed = shared + len(text) + len(metadata[at] if metadata else new.metadata)
        if at > first and (at - first == ROWS_PER_STATEMENT or size + needed > BYTES_PER_STATEMENT):
            yield slice(first, at)
            first, size = at, 0
        size += needed
    yield slice(first, len(texts))


_JOB_FIELDS = [field.attname for field in Job._meta.concrete_fields]
_NO_VALUES: dict[str, Any] = dict.fromkeys(_JOB_FIELDS) | {
    "attempt": 0,
    "claim_number": 0,
    "worker_deaths": 0,
    "progress_message": "",
}


def _build_job(
    alias: str, shared: Mapping[str, Any], arguments: Mapping[str, Any], metadata: dict[str, Any], row: Inserted
) -> Job:
    """Return a job as ``from_db`` would, in a third of the time, as unpickling does: without signals of ``init``."""
    job = Job.__new__(Job)
    job._state = state = ModelState()
    state.db, state.adding = alias, False
    values = vars(job)
    values.update(shared, arguments=arguments, metadata=metadata)
    values["id"], values["state"], values["enqueued_at"], values["run_after"], values["ready_at"] = row
    return job


def _build_announced(
    alias: str, shared: Mapping[str, Any], arguments: Mapping[str, Any], metadata: dict[str, Any], row: Inserted
) -> Job:
    """Return a job by ``from_db``, which sends the signals of ``init``."""
    values = vars(_build_job(alias, shared, arguments, metadata, row))
    return Job.from_db(alias, _JOB_FIELDS, [values[name] for name in _JOB_FIELDS])


def _has_listeners(signal: Signal) -> bool:
    """Tell what ``Signal.has_listeners`` tells, of a signal without any receiver in a tenth of the time."""
    return bool(signal.receivers) and signal.has_listeners(Job)


def _send_enqueued(jobs: list[Job]) -> None:
    for job in jobs:
        signals.job_enqueued.send_robust(sender=Job, job=job)
