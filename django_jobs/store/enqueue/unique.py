"""Enqueue a job with a key, or skip or reschedule the job that holds the key.

::

    insert with the key ──held──> read the holder ──decide──> skip, or reschedule ──it has begun meanwhile──+
           ^                                           └────it no longer holds the key──────────────────────+
           +------------------------------------------------------------------------------------------------+

Each step is one guarded statement or transaction; each repetition means that another transaction was faster. In a
caller's transaction the key is rolled back with the job, and the waiting holder of a skipped enqueue stays locked
until the commit: its run sees the caller's writes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, assert_never

from django.db.backends.base.base import BaseDatabaseWrapper

from ...models import Job
from ...policy.limits import RequiredPermit
from ...policy.states import WAITING_STATES, State
from ...policy.uniqueness import ConflictDecision, ConflictRule, KeyKind, NewKey, decide_conflict
from ..dialects import Dialect, open_dialect
from ..dialects.base.jobs import Inserted, NewJob
from ..limits.permits import insert_permits
from ..transactions import read_latest, retry_on_conflict
from .expiry import insert_expiries
from .insert import (
    as_limited,
    build_jobs,
    check_metadata_size,
    notify_on_enqueue,
    send_enqueued_on_commit,
    serialize_arguments,
)
from .reschedule import reschedule


class _Request(NamedTuple):
    """One job to enqueue under a key; ``text``: its serialized arguments, ``needs``: its limits."""

    new: NewJob
    arguments: Mapping[str, Any]
    text: str
    key: NewKey
    rule: ConflictRule
    needs: Sequence[RequiredPermit]


def enqueue_unique(
    new: NewJob,
    arguments: Sequence[Mapping[str, Any]],
    keys: Sequence[NewKey],
    rule: ConflictRule,
    *,
    needs: Sequence[Sequence[RequiredPermit]] = (),
    metadata: Sequence[str] = (),
    using: str | None = None,
) -> list[Job]:
    """Enqueue one job for each of ``arguments`` under its key and return the jobs, duplicates marked, in that order.

    ``needs``: the limits of each; empty if none of the jobs is under a limit. ``metadata``: as for ``enqueue``.

    On PostgreSQL one statement for a new job, at most four for a duplicate. Several jobs are inserted in one
    transaction, in the order of their keys, so that two such enqueues do not deadlock.
    """
    texts = [serialize_arguments(new.name, values) for values in arguments]
    check_metadata_size(new)
    dialect, connection = open_dialect(using)
    needed = needs or [()] * len(keys)
    news = [new._replace(metadata=text) for text in metadata] or [new] * len(keys)
    asked = [
        _Request(as_limited(news[at]) if needed[at] else news[at], arguments[at], texts[at], key, rule, needed[at])
        for at, key in enumerate(keys)
    ]
    return retry_on_conflict(lambda: _enqueue_all(dialect, connection, asked), using=using)


def _enqueue_all(dialect: Dialect, connection: BaseDatabaseWrapper, asked: Sequence[_Request]) -> list[Job]:
    if len(asked) == 1 and not asked[0].needs and not asked[0].new.expires:
        return [_enqueue_request(dialect, connection, asked[0])]
    jobs: dict[int, Job] = {}
    with dialect.write_transaction(connection):
        for at in sorted(range(len(asked)), key=lambda at: asked[at].key.digest):
            jobs[at] = _enqueue_request(dialect, connection, asked[at])
    return [jobs[at] for at in range(len(asked))]


def _enqueue_request(dialect: Dialect, connection: BaseDatabaseWrapper, asked: _Request) -> Job:
    while True:
        found = dialect.keys.insert_with_key(connection, asked.new, asked.text, asked.key)
        if isinstance(found, Inserted):
            return _after_insert(connection, asked, found)
        if found is None:
            continue
        job = read_latest(Job.objects.using(connection.alias).filter(pk=found.job_id))
        if job is not None and _resolve_conflict(dialect, connection, job, asked):
            job.is_duplicate = True
            return job


def _after_insert(connection: BaseDatabaseWrapper, asked: _Request, inserted: Inserted) -> Job:
    alias = connection.alias
    if asked.needs:
        waiting = inserted.state == State.BLOCKED
        insert_permits([(inserted.job_id, asked.needs)], priority=asked.new.priority, waiting=waiting, using=alias)
    insert_expiries(asked.new, [inserted], using=alias)
    notify_on_enqueue(asked.new, inserted, using=alias)
    (job,) = send_enqueued_on_commit(build_jobs(alias, asked.new, [asked.arguments], [inserted]), using=alias)
    return job


def _resolve_conflict(dialect: Dialect, connection: BaseDatabaseWrapper, job: Job, asked: _Request) -> bool:
    """Carry out the decision about the holder; False if it has changed since it was read."""
    verdict = decide_conflict(asked.rule.on_conflict, holder=State(job.state), states=asked.key.states)
    match verdict:
        case ConflictDecision.ENQUEUE:
            return False
        case ConflictDecision.SKIP:
            must_lock = asked.key.kind == KeyKind.UNIQUE and job.state in WAITING_STATES and connection.in_atomic_block
            return not must_lock or dialect.keys.lock_waiting_job(connection, job.pk)
        case ConflictDecision.REPLACE:
            return reschedule(
                job, asked.new, arguments=asked.arguments, needs=asked.needs, max_wait=asked.rule.max_wait
            )
        case ConflictDecision.RESCHEDULE:
            return reschedule(job, asked.new, arguments=None, max_wait=asked.rule.max_wait)
        case _:
            assert_never(verdict)
