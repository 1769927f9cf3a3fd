"""Enqueue: from a job's bound arguments and options to rows, in the caller's transaction.

``definition`` binds the arguments; this module resolves options, encodes arguments, computes keys and limits, and
puts new jobs into the batch that is being filled; ``store.enqueue`` inserts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.utils import timezone

from .arguments.metadata import write_metadata
from .arguments.results import number_results
from .arguments.serialization import encode
from .context import BatchScope, batch_scope
from .exceptions import ArgumentsError, ConfigurationError
from .options import LONG_AGO
from .policy.expiry import expiry_error, resolve_expiry
from .policy.flags import JobFlag
from .policy.limits import RequiredPermit
from .policy.uniqueness import ConflictRule, NewKey
from .registry import DefinedJob
from .uniqueness import keys_for

if TYPE_CHECKING:
    from .models import Job
    from .store.dialects.base.jobs import NewJob
    from .store.workflows.enqueue import NewNode

ManyArguments = Iterable[Mapping[str, Any] | Sequence[Any]]
Keyed = tuple[list[NewKey], ConflictRule]


def enqueue_bound(definition: DefinedJob, bound: Sequence[dict[str, Any]]) -> list[Job]:
    """Insert one job for each of the bound arguments, and return the jobs in that order."""
    needs = [definition.needs(arguments) for arguments in bound] if definition.options.limits else ()
    encoded = [_encode(definition, arguments) for arguments in bound]
    new, keyed = new_job(definition), _keys(definition, bound) if _has_key(definition) else None
    scope = batch_scope.get()
    if scope is None:
        return _insert(definition, new, encoded, needs, keyed)
    with _filling(scope) as ids:
        jobs = _insert(definition, _in_batch(new), encoded, needs, keyed)
        ids += [job.pk for job in jobs if not job.is_duplicate]
    return jobs


def enqueue_stream(definition: DefinedJob, bound: Iterable[dict[str, Any]]) -> int:
    """Insert one job for each of the bound arguments, all or none, 5,000 at a time; return their number."""
    from .store.enqueue import insert

    name = definition.name
    if definition.waits_for:
        raise ConfigurationError(f"{name}.after(...): enqueue_stream is for jobs that wait for no others")
    _refuse_key(definition, "enqueue_stream", "each key takes a statement of its own; enqueue_many makes them")
    texts = (insert.serialize_arguments(name, _encode(definition, arguments)) for arguments in bound)
    scope, new = batch_scope.get(), new_job(definition)
    if scope is None:
        return sum(map(len, insert.enqueue_stream(new, texts)))
    from .store.batches.batch import add_to_batch

    number = 0
    with _filling(scope):
        for ids in insert.enqueue_stream(_in_batch(new), texts):
            add_to_batch(scope.batch_id, ids)
            number += len(ids)
    return number


def enqueue_nodes(nodes: Sequence[NewNode]) -> list[Job]:
    """Insert the nodes of a graph, and return their jobs in that order."""
    from .store.workflows.enqueue import enqueue_graph

    scope = batch_scope.get()
    if scope is None:
        return enqueue_graph(nodes)
    with _filling(scope) as ids:
        jobs = enqueue_graph([replace(node, new=_in_batch(node.new)) for node in nodes])
        ids += [job.pk for job in jobs]
    return jobs


def bind_many(definition: DefinedJob, arguments: ManyArguments, *, caller: str) -> Iterator[dict[str, Any]]:
    """Bind each of ``arguments``: mappings of keywords, or sequences of positions. Raises ArgumentsError."""
    bind = definition.signature.bind
    for at, item in enumerate(arguments):
        try:
            if isinstance(item, Mapping):
                yield bind((), item)
            elif isinstance(item, (list, tuple)):
                yield bind(item, {})
            else:
                raise ArgumentsError(f"expected a mapping of keywords or a tuple of positions, got {item!r}")
        except ArgumentsError as error:
            raise ArgumentsError(f"{error} (in item {at} of {caller})") from None


def prepare(definition: DefinedJob, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[NewJob, dict[str, Any]]:
    """Return a new job and its encoded arguments, for a graph or a batch's callback, without inserting it.

    Raises what ``enqueue`` raises, and ConfigurationError for a job with a key.
    """
    _refuse_key(definition, "s()", "a job that is there already is no part of this graph or batch")
    return new_job(definition), _encode(definition, definition.signature.bind(args, kwargs))


def new_job(definition: DefinedJob) -> NewJob:
    """Return the values that all jobs of one enqueue share: the options given to ``using``, then those of ``@job``."""
    from .store.dialects.base.jobs import NewJob

    given, options = definition.enqueue_options, definition.options
    queue_name = given.get("queue_name") or options.resolve("queue_name")
    priority, run_after, metadata = given.get("priority"), given.get("run_after"), given.get("metadata")
    new = NewJob(
        name=definition.name,
        queue_name=queue_name,
        priority=options.resolve("priority", queue_name) if priority is None else priority,
        max_attempts=given.get("max_attempts") or options.resolve("max_attempts", queue_name),
        metadata=write_metadata(metadata, what=f"{definition.name}: metadata") if metadata else "{}",
        run_after=max(run_after, LONG_AGO) if isinstance(run_after, datetime) else None,
        delay_seconds=max(run_after.total_seconds(), 0) if isinstance(run_after, timedelta) else None,
    )
    if options.expires is None and given.get("expires_at") is None:
        return new
    return _with_expiry(definition, new)


def _with_expiry(definition: DefinedJob, new: NewJob) -> NewJob:
    """Return the new job with its expiry. Raises ConfigurationError if it would expire before it is due."""
    given, options, now = definition.enqueue_options, definition.options, timezone.now()
    expires_at, run_after = given.get("expires_at"), given.get("run_after")
    if run_after is None and options.unique is not None:
        run_after = options.unique.debounce
    expiry = resolve_expiry(expires_at, options.expires, run_after=run_after, now=now)
    expected = expiry_error(expiry, run_after=run_after, now=now)
    if expected is not None:
        raise ConfigurationError(f"{definition.name}.using(expires_at): expected {expected}, got {expires_at!r}")
    return new._replace(flags=int(new.flags | JobFlag.EXPIRES), expires_at=expiry.at, expires_seconds=expiry.seconds)


def _encode(definition: DefinedJob, bound: dict[str, Any]) -> dict[str, Any]:
    name, before = definition.name, definition.waits_for
    if before:
        bound = number_results(name, bound, before, before=before, as_list=len(before) > 1)
    return {key: encode(value, what=f"{name}: argument {key!r}") for key, value in bound.items()}


def _insert(
    definition: DefinedJob,
    new: NewJob,
    encoded: Sequence[dict[str, Any]],
    needs: Sequence[Sequence[RequiredPermit]],
    keyed: Keyed | None,
) -> list[Job]:
    if keyed is not None:
        return _insert_keyed(definition, new, encoded, needs, keyed)
    if definition.waits_for:
        from .store.workflows.enqueue import NewNode, PredecessorRef, enqueue_graph

        after = tuple(PredecessorRef(job_id=job_id) for job_id in definition.waits_for)
        return enqueue_graph(
            [NewNode(new=new, arguments=arguments, after=after, on_dead=definition.on_dead) for arguments in encoded]
        )
    from .store.enqueue.insert import enqueue

    return enqueue(new, encoded, needs=needs)


def _keys(definition: DefinedJob, bound: Sequence[dict[str, Any]]) -> Keyed:
    """Return the jobs' keys and the rule for conflicts; called before any statement: keys may be functions."""
    if definition.waits_for:
        _refuse_key(definition, "after(...)", "a job that is there already does not wait for what you named")
    given, options = definition.enqueue_options, definition.options
    return keys_for(
        definition.name,
        [definition.signature.by_name(arguments) for arguments in bound],
        unique=options.unique,
        secret=options.redact,
        idempotency_key=given.get("idempotency_key"),
        idempotency_window=given.get("idempotency_window"),
    )


def _insert_keyed(
    definition: DefinedJob,
    new: NewJob,
    encoded: Sequence[dict[str, Any]],
    needs: Sequence[Sequence[RequiredPermit]],
    keyed: Keyed,
) -> list[Job]:
    from .store.enqueue.unique import enqueue_unique

    (keys, rule), unique = keyed, definition.options.unique
    if definition.enqueue_options.get("run_after") is not None:
        rule = rule._replace(max_wait=None)
    elif unique is not None and unique.debounce is not None:
        new = new._replace(delay_seconds=unique.debounce.total_seconds())
    return enqueue_unique(new, encoded, keys, rule, needs=needs)


def _has_key(definition: DefinedJob) -> bool:
    given = definition.enqueue_options
    return bool(definition.options.unique or given.get("idempotency_key") or given.get("idempotency_window"))


def _refuse_key(definition: DefinedJob, caller: str, why: str) -> None:
    if _has_key(definition):
        raise ConfigurationError(
            f"{definition.name}.{caller}: expected a job without a key, got one that is unique or has an"
            f" idempotency_key: {why}"
        )


@contextmanager
def _filling(scope: BatchScope) -> Iterator[list[int]]:
    """Lock the batch that is being filled in one transaction with the block, and put the listed jobs into it."""
    from .store.batches.batch import extending_batch, record_batch_activity

    with extending_batch(scope.batch_id) as ids:
        yield ids
        if scope.is_activity_due():
            record_batch_activity(scope.batch_id)


def _in_batch(new: NewJob) -> NewJob:
    return new._replace(flags=int(new.flags | JobFlag.IN_BATCH))
