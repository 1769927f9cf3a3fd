"""``@job``: what turns a function into a job and keeps its signature for the type checker."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, Concatenate, Generic, Literal, ParamSpec, TypeVar, Unpack, overload

from django.views.decorators.debug import sensitive_variables

from . import registry
from .arguments.signature import CallSignature
from .calls import JobCall
from .conf.readers import as_span
from .conf.settings import JOB_OPTION_READERS
from .context import JobContext
from .enqueue_options import EnqueueOptions, ManyArguments
from .exceptions import ConfigurationError
from .limits import LimitOptions, as_limits, check_keys, needs_of
from .options import (
    ExceptionTypes,
    JobOptions,
    as_argument_names,
    as_exception_types,
    check_name,
)
from .policy.backoff import BackoffOption
from .policy.limits import CircuitBreaker, Concurrency, KeyOption, Ordering, RateLimit, RequiredPermit
from .schedules import (
    ScheduleDefinition,
    ScheduleOptions,
    caller_of,
    check_option_names,
    define_schedule,
    origin_of,
)
from .uniqueness import KeyFunction, Unique, check_unique

if TYPE_CHECKING:
    from .models import Job

P = ParamSpec("P")
R = TypeVar("R")


class JobDefinition(Generic[P, R]):
    """A function that can be called plainly, or enqueued. Made by ``@job``."""

    def __init__(self, function: Callable[..., R], *, name: str, options: JobOptions) -> None:
        update_wrapper(self, function, updated=())
        self.function = function
        self.name = name
        self.options = options
        self.signature = CallSignature(function, name=name, takes_context=options.takes_context)
        self._check_redacted()
        self._check_limits()
        check_unique(f"@job {name}: unique", options.unique, self.signature.signature)
        self.is_async = inspect.iscoroutinefunction(function)
        if options.atomic and self.is_async:
            raise ConfigurationError(
                f"@job {name}: atomic=True needs a plain function; Django's transactions do not work in async code"
            )

    def _check_redacted(self) -> None:
        kinds = {one.kind for one in self.signature.parameters.values()}
        unknown = sorted(set(self.options.redact) - set(self.signature.parameters))
        if unknown and inspect.Parameter.VAR_KEYWORD not in kinds:
            raise ConfigurationError(
                f"@job {self.name}: redact: expected arguments of {self.signature.signature}, got {', '.join(unknown)}"
            )

    def _check_limits(self) -> None:
        if self.options.limits:
            check_keys(f"@job {self.name}", self.options.limits, self.signature)

    def needs(self, stored: Mapping[str, Any]) -> tuple[RequiredPermit, ...]:
        """Return which limits a job with these arguments, by name, is under. Raises LimitKeyError."""
        return needs_of(self.name, self.options.limits, self.signature, stored)

    def __repr__(self) -> str:
        return f"<job {self.name}>"

    @sensitive_variables("args", "kwargs")
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function here and now; no queue, no retry. With ``takes_context`` the caller passes one."""
        return self.function(*args, **kwargs)

    def using(
        self,
        *,
        run_after: datetime | timedelta | None = None,
        queue_name: str | None = None,
        priority: int | None = None,
        max_attempts: int | None = None,
        metadata: Mapping[str, Any] | None = None,
        idempotency_key: str | KeyFunction | None = None,
        idempotency_window: timedelta | None = None,
        expires_at: datetime | timedelta | None = None,
    ) -> EnqueueOptions[P, R]:
        """Return this job with options for one enqueue.

        ``run_after`` is an aware datetime or a timedelta from the database's now, and so is ``expires_at``: a job that
        has not begun by then is cancelled; ``metadata`` a small
        JSON object that travels with the job. A second enqueue of this job with the same ``idempotency_key`` (or
        function of the arguments that returns it) within the window (default: the setting) returns the first job.
        Raises ConfigurationError naming the option.
        """
        given = {
            "run_after": run_after,
            "queue_name": queue_name,
            "priority": priority,
            "max_attempts": max_attempts,
            "metadata": metadata,
            "idempotency_key": idempotency_key,
            "idempotency_window": idempotency_window,
            "expires_at": expires_at,
        }
        chosen = {option: value for option, value in given.items() if value is not None}
        return EnqueueOptions(definition=self).using(**chosen)

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> Job:
        """Insert one job in the caller's transaction and return it.

        Raises ArgumentsError where the arguments do not fit the signature, SerializationError where JSON
        cannot carry one of them, PayloadTooLargeError; each names the job and the argument.
        """
        return EnqueueOptions(definition=self).enqueue(*args, **kwargs)

    def after(self, *jobs: Job, on_dead: str = "block") -> EnqueueOptions[P, R]:
        """Return this job, blocked until these jobs, enqueued before, have succeeded.

        ``on_dead``: where one of them dies, ``block`` waits until it is redriven, ``cancel`` cancels the new job and
        what waits for it. Where one is cancelled it is cancelled too. Raises ConfigurationError.
        """
        return EnqueueOptions(definition=self).after(*jobs, on_dead=on_dead)

    def s(self, *args: Any, **kwargs: Any) -> JobCall:
        """Return a call with these arguments, for chains, groups, graphs and batches; nothing is enqueued yet."""
        return JobCall(options=EnqueueOptions(definition=self), args=args, kwargs=kwargs)

    @overload
    def enqueue_many(self, arguments: ManyArguments, *, count_only: Literal[False] = ...) -> list[Job]: ...

    @overload
    def enqueue_many(self, arguments: ManyArguments, *, count_only: Literal[True]) -> int: ...

    def enqueue_many(self, arguments: ManyArguments, *, count_only: bool = False) -> list[Job] | int:
        """Insert many jobs in bulk statements; see ``EnqueueOptions.enqueue_many``."""
        options = EnqueueOptions(definition=self)
        return (
            options.enqueue_many(arguments, count_only=True)
            if count_only
            else options.enqueue_many(arguments)
        )

    async def aenqueue(self, *args: P.args, **kwargs: P.kwargs) -> Job:
        """Do what ``enqueue`` does, from asynchronous code."""
        return await EnqueueOptions(definition=self).aenqueue(*args, **kwargs)

    async def aenqueue_many(self, arguments: ManyArguments) -> list[Job]:
        """Do what ``enqueue_many`` does, from asynchronous code."""
        return await EnqueueOptions(definition=self).aenqueue_many(arguments)


class _Decorator:
    """What ``@job(...)`` with parentheses returns; keeps the types of the decorated function."""

    def __init__(self, name: str | None, options: JobOptions, when: ScheduleOptions) -> None:
        self.name, self.options, self.when = name, options, when

    def __call__(self, function: Callable[P, R]) -> JobDefinition[P, R]:
        return _define(function, self.name, self.options, self.when)


class _ContextDecorator:
    """The same for ``takes_context=True``: the first parameter is the worker's to fill."""

    def __init__(self, name: str | None, options: JobOptions, when: ScheduleOptions) -> None:
        self.name, self.options, self.when = name, options, when

    def __call__(self, function: Callable[Concatenate[JobContext, P], R]) -> JobDefinition[P, R]:
        return _define(function, self.name, self.options, self.when)


class _MoreOptions(ScheduleOptions, LimitOptions, total=False):
    """What ``@job`` takes besides what it takes of its own."""

    expires: timedelta | int | None


@overload
def job(function: Callable[P, R], /) -> JobDefinition[P, R]: ...


@overload
def job(
    *,
    takes_context: Literal[True],
    name: str | None = ...,
    queue_name: str | None = ...,
    priority: int | None = ...,
    max_attempts: int | None = ...,
    backoff: BackoffOption | None = ...,
    retry_on: ExceptionTypes = ...,
    discard_on: ExceptionTypes = ...,
    timeout: timedelta | int | None = ...,
    atomic: bool = ...,
    redact: Collection[str] = ...,
    unique: Unique | None = ...,
    result_ttl: timedelta | float | None = ...,
    schedulable: bool = ...,
    **more: Unpack[_MoreOptions],
) -> _ContextDecorator: ...


@overload
def job(
    *,
    name: str | None = ...,
    queue_name: str | None = ...,
    priority: int | None = ...,
    max_attempts: int | None = ...,
    backoff: BackoffOption | None = ...,
    retry_on: ExceptionTypes = ...,
    discard_on: ExceptionTypes = ...,
    timeout: timedelta | int | None = ...,
    atomic: bool = ...,
    redact: Collection[str] = ...,
    unique: Unique | None = ...,
    result_ttl: timedelta | float | None = ...,
    schedulable: bool = ...,
    takes_context: Literal[False] = ...,
    **more: Unpack[_MoreOptions],
) -> _Decorator: ...


def job(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    queue_name: str | None = None,
    priority: int | None = None,
    max_attempts: int | None = None,
    backoff: BackoffOption | None = None,
    retry_on: ExceptionTypes = (Exception,),
    discard_on: ExceptionTypes = (),
    timeout: timedelta | int | None = None,
    atomic: bool = False,
    redact: Collection[str] = (),
    unique: Unique | None = None,
    result_ttl: timedelta | float | None = None,
    schedulable: bool = False,
    takes_context: bool = False,
    rate_limit: RateLimit | str | None = None,
    concurrency: Concurrency | int | None = None,
    ordering_key: Ordering | KeyOption = None,
    breaker: CircuitBreaker | None = None,
    expires: timedelta | int | None = None,
    **when: Unpack[ScheduleOptions],
) -> Any:
    """Make a function a job: ``@job`` or ``@job(option=...)``.

    name: under which it is stored; default module and qualified name. Renaming strands waiting jobs.
    queue_name, priority (-100..100, higher first), max_attempts (the first try included).
    backoff: ``Exponential``, ``Linear``, ``Constant``, a list of waits, or ``(exception, context) ->
    timedelta | seconds | None`` (None: dead now). Default 5 s, 25 s, 125 s ..., with jitter.
    retry_on: what is worth another try; anything else is dead at once. discard_on: dead at once too, and wins.
    timeout: a timedelta or whole seconds; JobTimeoutError is raised inside the function.
    atomic: the function's writes to the jobs' database and the finish commit together.
    redact: names of arguments that are never shown, besides those that the setting REDACT finds.
    unique: ``Unique(...)``: at most one waiting job for each value of chosen arguments.
    expires: for how long after it is due it is of use (timedelta or seconds); not begun by then, it is cancelled.
    result_ttl: how long the result is kept once the job has succeeded; default the setting RESULTS["TTL"].
    schedulable: staff may write schedules for it in the admin.
    takes_context: the function's first parameter is the JobContext.
    rate_limit: a ``Rate``, or text such as ``"10/s"``; concurrency: a ``Concurrency`` or a number; ordering_key: the name
    of an argument, a function of the arguments or an ``Order``; breaker: a ``Breaker``. All count over all workers.
    cron or every, timezone, jitter, overlap, catch_up, catch_up_limit: a schedule of the job's own name that
    enqueues it without arguments; see ``schedule``.

    Raises ConfigurationError naming the job, the option, what was expected and what came.
    """
    if function is not None and not callable(function):
        raise ConfigurationError(f"@job: expected a function, got {function!r}; options are given by keyword")
    given = {
        "queue_name": queue_name,
        "priority": priority,
        "max_attempts": max_attempts,
        "backoff": backoff,
        "timeout": timeout,
    }
    label = f"@job {name or getattr(function, '__qualname__', '')}".rstrip()
    options = JobOptions(
        **{
            option: JOB_OPTION_READERS[option](f"{label}: {option}", value)
            for option, value in given.items()
            if value is not None
        },
        retry_on=as_exception_types(f"{label}: retry_on", retry_on),
        discard_on=as_exception_types(f"{label}: discard_on", discard_on),
        atomic=atomic,
        redact=as_argument_names(f"{label}: redact", redact),
        unique=unique,
        expires=as_span(f"{label}: expires", expires),
        result_ttl=as_span(f"{label}: result_ttl", result_ttl),
        schedulable=schedulable,
        takes_context=takes_context,
        limits=as_limits(
            label, rate_limit=rate_limit, concurrency=concurrency, ordering_key=ordering_key, breaker=breaker
        ),
    )
    check_option_names(label, when)
    if function is not None:
        return _define(function, name, options, when)
    return _ContextDecorator(name, options, when) if takes_context else _Decorator(name, options, when)


def schedule(
    name: str,
    job: JobDefinition[..., Any],
    /,
    *,
    args: Mapping[str, Any] | None = None,
    **when: Unpack[ScheduleOptions],
) -> ScheduleDefinition:
    """Have ``job`` enqueued again and again, under a ``name`` of the schedule's own.

    args: keywords for the job, checked now. cron: five fields, a sixth for seconds, or ``@daily`` and its sisters;
    or every: a timedelta or seconds, counted from 1970 in UTC. timezone: an IANA name for cron (UTC).
    jitter: fire up to so much later, to spread load. overlap: ``skip``, ``queue``, ``allow`` or ``replace`` where the
    last job has not ended. catch_up: which missed ticks fire after an outage, ``latest``, ``all`` (at most
    ``catch_up_limit``) or ``none``.

    Raises ConfigurationError or ArgumentsError naming file, line, schedule and option.
    """
    origin = caller_of(schedule)
    if not isinstance(job, JobDefinition):
        raise ConfigurationError(f"{origin}: schedule {name!r}: expected a function with @job, got {job!r}")
    check_option_names(f"{origin}: schedule {name!r}", when)
    return define_schedule(name, job, arguments=dict(args or {}), options=when, origin=origin)


def _define(
    function: Callable[..., Any], name: str | None, options: JobOptions, when: ScheduleOptions
) -> JobDefinition[Any, Any]:
    if isinstance(function, type):
        raise ConfigurationError(f"@job: expected a function, got {function!r}")
    if options.redact:
        function = sensitive_variables(*options.redact)(function)
    name = name or f"{function.__module__}.{function.__qualname__}"
    check_name(name)
    definition: JobDefinition[Any, Any] = JobDefinition(function, name=name, options=options)
    registry.register(definition)
    if when:
        define_schedule(name, definition, arguments={}, options=when, origin=origin_of(function))
    return definition
