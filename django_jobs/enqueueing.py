"""Enqueue: from a job's bound arguments and options to rows, in the caller's transaction.

``definition`` binds the arguments; this module resolves options, encodes arguments, computes keys and limits, and
puts new jobs into the batch that is being filled; ``store.enqueue`` inserts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

from django.utils import timezone

from .arguments.metadata import write_metadata
from .arguments.results import number_results
from .arguments.serialization import encode
from .conf import Settings, get_settings
from .conf.database import use_database
from .context import BatchScope, batch_scope
from .database_choice import choose_databases
from .exceptions import ArgumentsError, ConfigurationError
from .functions.discovery import undiscovered, warn_if_undiscovered
from .hooks import Insertion, around_enqueue, has_hooks, hook_metadata
from .options import LONG_AGO
from .policy.durations import Duration, as_timedelta, seconds_of
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
T = TypeVar("T")
CHUNK = 5_000
"""So many jobs of a stream are distributed among the databases at a time."""

_write_json = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode

_new_jobs: WeakKeyDictionary[DefinedJob, tuple[Settings, NewJob]] = WeakKeyDictionary()
"""What ``new_job`` has made of definitions without options of one enqueue, and under which settings."""


def enqueue_bound(
    definition: DefinedJob, bound: Sequence[dict[str, Any]], *, metadata: Sequence[str] = ()
) -> list[Job]:
    """Insert one job for each of the bound arguments, and return the jobs in that order.

    ``metadata``: a JSON object of each that joins that of ``using(metadata=...)``; not for jobs after others.
    """
    if not has_hooks():
        return _enqueue_bound(definition, bound, metadata)
    with around_enqueue(Insertion((definition,), len(bound))) as insertion:
        jobs = _enqueue_bound(definition, bound, metadata)
        insertion.inserted(jobs)
    return jobs


def _enqueue_bound(definition: DefinedJob, bound: Sequence[dict[str, Any]], metadata: Sequence[str]) -> list[Job]:
    if not get_settings().has_many_databases:
        return _enqueue_here(definition, bound, metadata)
    return _spread(definition, bound, metadata, _enqueue_here)


def _enqueue_here(definition: DefinedJob, bound: Sequence[dict[str, Any]], metadata: Sequence[str]) -> list[Job]:
    needs = [definition.needs(arguments) for arguments in bound] if definition.options.limits else ()
    encoded = [encode_bound(definition, arguments) for arguments in bound]
    new, keyed = new_job(definition), _keys(definition, bound) if _has_key(definition) else None
    own = _own_metadata(new, metadata)
    scope = batch_scope.get()
    if scope is None:
        return _insert(definition, new, encoded, needs, keyed, own)
    with _filling(scope) as ids:
        jobs = _insert(definition, _in_batch(new), encoded, needs, keyed, own)
        ids += [job.pk for job in jobs if not job.is_duplicate]
    return jobs


def enqueue_ids(definition: DefinedJob, bound: Sequence[dict[str, Any]], *, metadata: Sequence[str] = ()) -> list[int]:
    """Do what ``enqueue_bound`` does, and return the jobs' ids only: without an object a job if nothing needs one."""
    if not has_hooks():
        return _enqueue_ids(definition, bound, metadata)
    with around_enqueue(Insertion((definition,), len(bound))) as insertion:
        if len(bound) == 1 and get_settings().has_many_databases:
            insertion.inserted(_enqueue_bound(definition, bound, metadata))  # its public id names its database
        else:
            insertion.ids = _enqueue_ids(definition, bound, metadata)
    return list(insertion.ids)


def _enqueue_ids(definition: DefinedJob, bound: Sequence[dict[str, Any]], metadata: Sequence[str]) -> list[int]:
    if not get_settings().has_many_databases:
        return _enqueue_ids_here(definition, bound, metadata)
    return _spread(definition, bound, metadata, _enqueue_ids_here)


def _enqueue_ids_here(definition: DefinedJob, bound: Sequence[dict[str, Any]], metadata: Sequence[str]) -> list[int]:
    from .store.enqueue.insert import enqueue_payloads, serialize_arguments

    is_plain = not (definition.options.limits or _has_key(definition) or definition.waits_for)
    if not bound or not is_plain or batch_scope.get() is not None:
        return [job.pk for job in _enqueue_here(definition, bound, metadata)]
    name, new = definition.name, new_job(definition)
    texts = [serialize_arguments(name, encode_bound(definition, arguments)) for arguments in bound]
    return enqueue_payloads(new, texts, metadata=_own_metadata(new, metadata))


def enqueue_stream(definition: DefinedJob, bound: Iterable[dict[str, Any]]) -> int:
    """Insert one job for each of the bound arguments, all or none, 5,000 at a time; return their number."""
    if not has_hooks():
        return _enqueue_stream(definition, bound)
    with around_enqueue(Insertion((definition,), None)) as insertion:
        number = insertion.count = _enqueue_stream(definition, bound)
    return number


def _enqueue_stream(definition: DefinedJob, bound: Iterable[dict[str, Any]]) -> int:
    if not get_settings().has_many_databases:
        return _enqueue_stream_here(definition, bound)
    from .store.transactions import savepoint

    number, left = 0, iter(bound)
    with ExitStack() as transactions:
        opened: set[str] = set()
        while chunk := list(islice(left, CHUNK)):
            for alias, places in _by_database(definition, chunk).items():
                if alias not in opened:
                    transactions.enter_context(savepoint(using=alias))
                    opened.add(alias)
                with use_database(alias):
                    number += _enqueue_stream_here(definition, [chunk[at] for at in places])
    return number


def _enqueue_stream_here(definition: DefinedJob, bound: Iterable[dict[str, Any]]) -> int:
    from .store.enqueue import insert

    name = definition.name
    if definition.waits_for:
        raise ConfigurationError(f"{name}.after(...): enqueue_stream is for jobs that wait for no others")
    _refuse_key(definition, "enqueue_stream", "each key takes a statement of its own; enqueue_many makes them")
    texts = (insert.serialize_arguments(name, encode_bound(definition, arguments)) for arguments in bound)
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


def _spread(
    definition: DefinedJob,
    bound: Sequence[dict[str, Any]],
    metadata: Sequence[str],
    enqueue_here: Callable[[DefinedJob, Sequence[dict[str, Any]], Sequence[str]], list[T]],
) -> list[T]:
    """Have each job inserted into its database; if these are several, all commit after the last insert."""
    parts = _by_database(definition, bound)
    if len(parts) == 1:
        with use_database(*parts):
            return enqueue_here(definition, bound, metadata)
    from .store.transactions import savepoint

    made: dict[int, T] = {}
    with ExitStack() as transactions:
        for alias, places in parts.items():
            transactions.enter_context(savepoint(using=alias))
            own = [metadata[at] for at in places] if metadata else ()
            with use_database(alias):
                made.update(zip(places, enqueue_here(definition, [bound[at] for at in places], own), strict=True))
    return [made[at] for at in range(len(bound))]


def _by_database(definition: DefinedJob, bound: Sequence[dict[str, Any]]) -> dict[str, list[int]]:
    """Return the places of the jobs in the list by their databases."""
    places: dict[str, list[int]] = {}
    for at, alias in enumerate(choose_databases(definition, bound)):
        places.setdefault(alias, []).append(at)
    return places


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


def prepare(
    definition: DefinedJob,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    *,
    make: Callable[[Any], NewJob] | None = None,
) -> tuple[NewJob, dict[str, Any]]:
    """Return a new job and its encoded arguments, for a graph or a batch's callback, without inserting it.

    ``make`` stands for ``new_job``, whose values all jobs of one definition in a graph share. Raises what ``enqueue``
    raises, and ConfigurationError for a job with a key.
    """
    _refuse_key(definition, "s()", "a job that is there already is no part of this graph or batch")
    new = (make or new_job)(definition.as_called(args))
    return new, encode_bound(definition, definition.signature.bind(args, kwargs))


def new_job(definition: DefinedJob) -> NewJob:
    """Return the values that all jobs of one enqueue share: the options given to ``using``, then those of ``@job``."""
    if undiscovered:
        warn_if_undiscovered(definition.name)
    kept, settings = _new_jobs.get(definition), get_settings()
    if kept is not None and kept[0] is settings and not has_hooks():  # a library may have added one since
        return kept[1]
    new = _make_new_job(definition, settings)
    if not (definition.enqueue_options or new.expires or has_hooks()):
        _new_jobs[definition] = settings, new
    return new


def _make_new_job(definition: DefinedJob, settings: Settings) -> NewJob:
    from .store.dialects.base.jobs import NewJob

    given, options = definition.enqueue_options, definition.options
    queue_name = given.get("queue_name") or options.resolve("queue_name")
    priority, run_after, metadata = given.get("priority"), given.get("run_after"), given.get("metadata")
    if has_hooks():
        metadata = hook_metadata(definition) | dict(metadata or {})
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
    expires_at, run_after = _as_checked(given.get("expires_at")), _as_checked(given.get("run_after"))
    if run_after is None and options.unique is not None and options.unique.debounce is not None:
        run_after = as_timedelta(options.unique.debounce)
    expiry = resolve_expiry(expires_at, options.expires, run_after=run_after, now=now)
    expected = expiry_error(expiry, run_after=run_after, now=now)
    if expected is not None:
        raise ConfigurationError(f"{definition.name}.using(expires_at): expected {expected}, got {expires_at!r}")
    return new._replace(flags=int(new.flags | JobFlag.EXPIRES), expires_at=expiry.at, expires_seconds=expiry.seconds)


def _as_checked(instant: datetime | Duration | None) -> datetime | timedelta | None:
    """Return an instant as its check has left it: a delay as a timedelta."""
    return as_timedelta(instant) if isinstance(instant, (int, float)) else instant


def encode_bound(definition: DefinedJob, bound: dict[str, Any]) -> dict[str, Any]:
    """Return bound arguments as JSON-only values. Raises SerializationError naming the job and the argument."""
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
    metadata: Sequence[str],
) -> list[Job]:
    if keyed is not None:
        return _insert_keyed(definition, new, encoded, needs, keyed, metadata)
    if definition.waits_for:
        from .store.workflows.enqueue import NewNode, PredecessorRef, enqueue_graph

        after = tuple(PredecessorRef(job_id=job_id) for job_id in definition.waits_for)
        return enqueue_graph(
            [NewNode(new=new, arguments=arguments, after=after, on_dead=definition.on_dead) for arguments in encoded]
        )
    from .store.enqueue.insert import enqueue

    return enqueue(new, encoded, needs=needs, metadata=metadata)


def _own_metadata(new: NewJob, metadata: Sequence[str]) -> Sequence[str]:
    """Return the metadata of each as JSON text, with what all share."""
    if new.metadata == "{}" or not metadata:
        return metadata
    shared = json.loads(new.metadata)
    return [_write_json({**shared, **json.loads(own)}) for own in metadata]


def _keys(definition: DefinedJob, bound: Sequence[dict[str, Any]]) -> Keyed:
    """Return the jobs' keys and the rule for conflicts; called before any statement: keys may be functions."""
    if definition.waits_for:
        _refuse_key(definition, "after(...)", "a job that is there already does not wait for what you named")
    given, options = definition.enqueue_options, definition.options
    window = given.get("idempotency_window")
    return keys_for(
        definition.name,
        [definition.signature.by_name(arguments) for arguments in bound],
        unique=options.unique,
        secret=options.redact,
        idempotency_key=given.get("idempotency_key"),
        idempotency_window=None if window is None else as_timedelta(window),
    )


def _insert_keyed(
    definition: DefinedJob,
    new: NewJob,
    encoded: Sequence[dict[str, Any]],
    needs: Sequence[Sequence[RequiredPermit]],
    keyed: Keyed,
    metadata: Sequence[str],
) -> list[Job]:
    from .store.enqueue.unique import enqueue_unique

    (keys, rule), unique = keyed, definition.options.unique
    if definition.enqueue_options.get("run_after") is not None:
        rule = rule._replace(max_wait=None)
    elif unique is not None and unique.debounce is not None:
        new = new._replace(delay_seconds=seconds_of(unique.debounce))
    return enqueue_unique(new, encoded, keys, rule, needs=needs, metadata=metadata)


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
