"""What ``using(...)`` returns: a job with options for one enqueue, and the way from arguments to the store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, Literal, ParamSpec, TypeVar, overload

from asgiref.sync import sync_to_async
from django.utils import timezone

from .arguments.serialization import dumps, encode
from .calls import JobCall, passed_results
from .enqueueing import place, place_keyed, place_stream
from .exceptions import ArgumentsError, ConfigurationError
from .options import LONG_AGO, check_enqueue_options, check_predecessors
from .policy.expiry import expiry_error, resolve_expiry
from .policy.flags import JobFlag
from .policy.graph import OnDead
from .policy.limits import RequiredPermit
from .uniqueness import KeyFunction, keys_for

if TYPE_CHECKING:
    from .definition import JobDefinition
    from .models import Job
    from .store.dialects.base.jobs import NewJob

P = ParamSpec("P")
R = TypeVar("R")
ManyArguments = Iterable[Mapping[str, Any] | Sequence[Any]]

_NO_METADATA: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class EnqueueOptions(Generic[P, R]):
    """A job with what ``using(...)`` said about this one enqueue."""

    definition: JobDefinition[P, R]
    run_after: datetime | timedelta | None = None
    queue_name: str | None = None
    priority: int | None = None
    max_attempts: int | None = None
    metadata: Mapping[str, Any] = field(default_factory=lambda: _NO_METADATA)
    idempotency_key: str | KeyFunction | None = None
    idempotency_window: timedelta | None = None
    expires_at: datetime | timedelta | None = None
    waits_for: tuple[int, ...] = ()
    on_dead: OnDead = OnDead.BLOCK

    def using(self, **options: Any) -> EnqueueOptions[P, R]:
        """Return the same with more options changed."""
        return replace(self, **check_enqueue_options(self.definition.name, options))

    def after(self, *jobs: Job, on_dead: str = "block") -> EnqueueOptions[P, R]:
        """Return the same, blocked until these jobs have succeeded; see ``JobDefinition.after``."""
        ids, chosen = check_predecessors(self.definition.name, jobs, on_dead)
        return replace(self, waits_for=tuple(dict.fromkeys((*self.waits_for, *ids))), on_dead=chosen)

    def s(self, *args: Any, **kwargs: Any) -> JobCall:
        """Return a call with these arguments, for chains, groups, graphs and batches; nothing is enqueued yet."""
        return JobCall(options=self, args=args, kwargs=kwargs)

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> Job:
        """Insert one job in the caller's transaction and return it."""
        return self._insert([self.definition.signature.bind(args, kwargs)])[0]

    @overload
    def enqueue_many(self, arguments: ManyArguments, *, count_only: Literal[False] = ...) -> list[Job]: ...

    @overload
    def enqueue_many(self, arguments: ManyArguments, *, count_only: Literal[True]) -> int: ...

    def enqueue_many(self, arguments: ManyArguments, *, count_only: bool = False) -> list[Job] | int:
        """Insert one job for each of ``arguments`` (a mapping of keywords or a sequence of positions), in bulk.

        All or none: wrong arguments fail before the first statement, and all are inserted in one transaction. A
        unique job, or an ``idempotency_key`` (a function here), takes a statement for each.
        ``count_only``: return how many there were, and hold no more than 5,000 of them in memory; wrong arguments
        then roll back what was inserted before them.
        """
        if count_only:
            return self._stream(arguments)
        return self._insert(list(self._bound(arguments)))

    def _bound(self, arguments: ManyArguments) -> Iterator[dict[str, Any]]:
        bind = self.definition.signature.bind
        for at, one in enumerate(arguments):
            try:
                yield bind((), one) if isinstance(one, Mapping) else bind(_positions(one), {})
            except ArgumentsError as error:
                raise ArgumentsError(f"{error} (in item {at} of enqueue_many)") from None

    def _stream(self, arguments: ManyArguments) -> int:
        from .store.enqueue.insert import serialize_arguments

        name = self.definition.name
        if self.waits_for:
            raise ConfigurationError(
                f"{name}.after(...): count_only=True is for jobs that wait for no others"
            )
        self._refuse_key(
            "enqueue_many(count_only=True)",
            "each has to be looked at, which is what enqueue_many without count_only does",
        )
        texts = (serialize_arguments(name, self._encoded(one)) for one in self._bound(arguments))
        return place_stream(self._new_job(), texts)

    async def aenqueue(self, *args: P.args, **kwargs: P.kwargs) -> Job:
        """Do what ``enqueue`` does, from asynchronous code."""
        return await sync_to_async(self.enqueue)(*args, **kwargs)

    async def aenqueue_many(self, arguments: ManyArguments) -> list[Job]:
        """Do what ``enqueue_many`` does, from asynchronous code."""
        return await sync_to_async(self.enqueue_many)(arguments)

    def prepared(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[NewJob, dict[str, Any]]:
        """Return what an enqueue with these arguments inserts, without inserting it. Raises what ``enqueue`` does.

        For a graph's job, or a batch's callback: one with a key raises ConfigurationError.
        """
        self._refuse_key("s()", "a job that is there already is no part of this graph or batch")
        return self._new_job(), self._encoded(self.definition.signature.bind(args, kwargs))

    def _encoded(self, bound: dict[str, Any]) -> dict[str, Any]:
        name = self.definition.name
        if self.waits_for:
            before = self.waits_for
            bound = passed_results(name, bound, before, before=before, as_list=len(before) > 1)
        return {key: encode(value, what=f"{name}: argument {key!r}") for key, value in bound.items()}

    def _insert(self, bound: list[dict[str, Any]]) -> list[Job]:
        needs = [self.definition.needs(one) for one in bound] if self.definition.options.limits else ()
        encoded = [self._encoded(one) for one in bound]
        if self._has_key():
            return self._insert_keyed(bound, encoded, needs)
        return place(self._new_job(), encoded, needs=needs, after=self.waits_for, on_dead=self.on_dead)

    def _has_key(self) -> bool:
        return bool(self.definition.options.unique or self.idempotency_key or self.idempotency_window)

    def _insert_keyed(
        self,
        bound: list[dict[str, Any]],
        encoded: list[dict[str, Any]],
        needs: Sequence[Sequence[RequiredPermit]],
    ) -> list[Job]:
        options, new = self.definition.options, self._new_job()
        if self.waits_for:
            self._refuse_key("after(...)", "a job that is there already does not wait for what you named")
        keys, rule = keys_for(
            self.definition.name,
            [self.definition.signature.by_name(one) for one in bound],
            unique=options.unique,
            secret=options.redact,
            idempotency_key=self.idempotency_key,
            idempotency_window=self.idempotency_window,
        )
        if self.run_after is not None:
            rule = rule._replace(max_wait=None)
        elif options.unique is not None and options.unique.debounce is not None:
            new = new._replace(delay_seconds=options.unique.debounce.total_seconds())
        return place_keyed(new, encoded, keys, rule, needs=needs)

    def _refuse_key(self, where: str, why: str) -> None:
        if self._has_key():
            raise ConfigurationError(
                f"{self.definition.name}.{where}: expected a job without a key, got one that is unique or has an"
                f" idempotency_key: {why}"
            )

    def _new_job(self) -> NewJob:
        from .store.dialects.base.jobs import NewJob

        options = self.definition.options
        queue_name = self.queue_name or options.resolve("queue_name")
        run_after = self.run_after
        new = NewJob(
            name=self.definition.name,
            queue_name=queue_name,
            priority=self.priority if self.priority is not None else options.resolve("priority", queue_name),
            max_attempts=self.max_attempts or options.resolve("max_attempts", queue_name),
            metadata=dumps(dict(self.metadata), what=f"{self.definition.name}: metadata")
            if self.metadata
            else "{}",
            run_after=max(run_after, LONG_AGO) if isinstance(run_after, datetime) else None,
            delay_seconds=max(run_after.total_seconds(), 0) if isinstance(run_after, timedelta) else None,
        )
        return new if self.expires_at is None and options.expires is None else self._with_expiry(new)

    def _with_expiry(self, new: NewJob) -> NewJob:
        """Return the new job with its expiry. Raises ConfigurationError where it could never begin."""
        name, options, now = self.definition.name, self.definition.options, timezone.now()
        run_after = self.run_after
        if run_after is None and options.unique is not None:
            run_after = options.unique.debounce
        expiry = resolve_expiry(self.expires_at, options.expires, run_after=run_after, now=now)
        expected = expiry_error(expiry, run_after=run_after, now=now)
        if expected is not None:
            raise ConfigurationError(
                f"{name}.using(expires_at): expected {expected}, got {self.expires_at!r}"
            )
        return new._replace(
            flags=int(new.flags | JobFlag.EXPIRES), expires_at=expiry.at, expires_seconds=expiry.seconds
        )


def _positions(arguments: object) -> Sequence[Any]:
    if isinstance(arguments, (list, tuple)):
        return arguments
    raise ArgumentsError(f"expected a mapping of keywords or a tuple of positions, got {arguments!r}")
