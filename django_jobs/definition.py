"""``@job``, and the job that it makes: called plainly, enqueued, given options, or put into chains and batches."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import WRAPPER_ASSIGNMENTS, partial
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    Literal,
    Never,
    NoReturn,
    ParamSpec,
    Protocol,
    TypeVar,
    Unpack,
    cast,
    overload,
)

from asgiref.sync import sync_to_async
from django.apps import apps
from django.views.decorators.debug import sensitive_variables

from . import registry
from .arguments.signature import CallSignature
from .chunks import ChunkItem, ChunkSignature, call_with_one
from .context import JobContext
from .enqueueing import ManyArguments, bind_many, enqueue_bound, enqueue_stream
from .exceptions import ConfigurationError
from .functions.callables import as_coroutine_function, check_function, is_async
from .functions.discovery import record_definition
from .functions.origin import NOWHERE, Origin, derived_name, find_origin
from .limits import check_keys, needs_of
from .options import (
    JobKeywords,
    JobOptions,
    ScheduleOptions,
    UsingOptions,
    check_name,
    check_predecessors,
    check_using,
    common_database,
    read_job_options,
)
from .policy.chunks import Chunk
from .policy.foreign_options import METHODS
from .policy.graph import OnDead
from .policy.limits import RequiredPermit
from .schedules import define_schedule, origin_of
from .uniqueness import check_unique

if TYPE_CHECKING:
    from .models import Job
    from .store.dialects.base.jobs import StartedRun

P = ParamSpec("P")
Rest = ParamSpec("Rest")
R = TypeVar("R")
T = TypeVar("T")


@dataclass(frozen=True, eq=False, repr=False)
class JobDefinition(Generic[P, R]):
    """A function that can be called plainly, or enqueued. Made by ``@job``; immutable."""

    function: Callable[..., R]
    name: str
    options: JobOptions
    enqueue_options: UsingOptions = field(default_factory=UsingOptions)
    waits_for: tuple[int, ...] = ()
    waits_in: str | None = None
    on_dead: OnDead = OnDead.BLOCK
    origin: Origin = NOWHERE
    convert_result: Callable[[Any], Any] | None = None
    signature: CallSignature = field(init=False)
    is_async: bool = field(init=False)
    coroutine_function: Callable[..., Awaitable[R]] = field(init=False)

    def __post_init__(self) -> None:
        function, options, label = self.function, self.options, f"@job {self.name}"
        if options.chunk is not None:
            signature: CallSignature = ChunkSignature(function, name=self.name, chunk=options.chunk)
        else:
            signature = CallSignature(function, name=self.name, takes_context=options.takes_context)
        wrapper: dict[str, Any] = {
            name: getattr(function, name) for name in WRAPPER_ASSIGNMENTS if hasattr(function, name)
        }
        vars(self).update(
            wrapper,
            __wrapped__=function,
            signature=signature,
            is_async=is_async(function),
            coroutine_function=as_coroutine_function(function),
        )
        _check_redacted(label, options.redact, signature)
        check_keys(label, options.limits, signature)
        check_unique(f"{label}: unique", options.unique, signature.signature)
        if options.atomic and self.is_async:
            raise ConfigurationError(
                f"{label}: atomic=True needs a plain function; Django's transactions do not work in async code"
            )

    def as_called(self, args: Sequence[Any], /) -> JobDefinition[P, R]:
        """See ``DefinedJob``."""
        return self

    @property
    def context_needs_read(self) -> bool:
        """See ``DefinedJob``."""
        return False

    def context_argument(self, context: JobContext, run: StartedRun, /) -> Any:
        """Return the context that a function with ``takes_context`` is given."""
        return context

    def needs(self, stored: Mapping[str, Any]) -> tuple[RequiredPermit, ...]:
        """Return the limits of a job with these arguments, by name. Raises LimitKeyError."""
        return needs_of(self.name, self.options.limits, self.signature, stored)

    @sensitive_variables("args", "kwargs")
    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function here and now; no queue, no retry. With ``takes_context`` the caller passes one."""
        if self.options.chunk is not None:
            self.signature.bind(args, kwargs)
            return cast("R", call_with_one(self.function, args))
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<job {self.name}>"

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            """Say what other libraries' methods are here."""
            hint = f"; what you look for is {METHODS[name]}" if name in METHODS else ""
            label = f"<job {vars(self).get('name')}>"  # not its repr: a copy that is being made has no name yet
            raise AttributeError(f"{label} has no attribute {name!r}{hint}", name=name, obj=self)

    def using(self, *surplus: Never, **options: Unpack[UsingOptions]) -> JobDefinition[P, R]:
        """Return this job with options for its enqueue; see ``UsingOptions``. Raises ConfigurationError naming one."""
        if surplus:
            raise ConfigurationError(
                f"{self.name}.using: options are given by keyword, such as using(run_after=60); got"
                f" {', '.join(map(repr, surplus))}"
            )
        given = {**self.enqueue_options, **check_using(self.name, options)}
        return self._changed(enqueue_options=given)

    def after(self, *jobs: Job, on_dead: str = "block") -> JobDefinition[P, R]:
        """Return this job, blocked until these jobs, enqueued before, have succeeded.

        ``on_dead``: if one of them dies, ``block`` waits until it is redriven, ``cancel`` cancels the new job and the
        jobs that wait for it. If one is cancelled, so is the new job. Raises ConfigurationError.
        """
        ids, rule = check_predecessors(self.name, jobs, on_dead)
        return self._changed(
            waits_for=tuple(dict.fromkeys((*self.waits_for, *ids))),
            waits_in=common_database(f"{self.name}.after(...)", jobs, known=self.waits_in),
            on_dead=rule,
        )

    def _changed(self, **fields: Any) -> JobDefinition[P, R]:
        """Return a copy with other values: ``dataclasses.replace``, without the checks of ``@job`` again."""
        copy: JobDefinition[P, R] = object.__new__(type(self))
        vars(copy).update(vars(self), **fields)
        return copy

    def enqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> Job:
        """Insert one job in the caller's transaction and return it.

        Raises ArgumentsError if the arguments do not fit the signature, SerializationError if JSON cannot carry one
        of them, and PayloadTooLargeError; each names the job and the argument.
        """
        return enqueue_bound(self, [self.signature.bind(args, kwargs)])[0]

    def enqueue_many(self, arguments: ManyArguments) -> list[Job]:
        """Insert one job for each of ``arguments`` (a mapping of keywords, or a tuple of positions), in bulk.

        All or none: wrong arguments fail before the first statement, and all jobs are inserted in one transaction. A
        unique job, or an ``idempotency_key`` (a function here), takes a statement for each.
        """
        return enqueue_bound(self, list(bind_many(self, arguments, caller="enqueue_many")))

    def enqueue_stream(self, arguments: ManyArguments) -> int:
        """Insert jobs as ``enqueue_many`` does, with no more than 5,000 in memory, and return their number.

        All or none: wrong arguments roll back the jobs that were inserted before them.
        """
        return enqueue_stream(self, bind_many(self, arguments, caller="enqueue_stream"))

    async def aenqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> Job:
        """Do what ``enqueue`` does, from asynchronous code."""
        return await sync_to_async(partial(self.enqueue, *args, **kwargs))()

    async def aenqueue_many(self, arguments: ManyArguments) -> list[Job]:
        """Do what ``enqueue_many`` does, from asynchronous code."""
        return await sync_to_async(self.enqueue_many)(arguments)

    async def aenqueue_stream(self, arguments: ManyArguments) -> int:
        """Do what ``enqueue_stream`` does, from asynchronous code; the iterable is read in a thread."""
        return await sync_to_async(self.enqueue_stream)(arguments)

    @overload
    def s(self, /, *args: P.args, **kwargs: P.kwargs) -> JobCall: ...

    @overload
    def s(self: JobDefinition[Concatenate[Any, Rest], R], /, *args: Rest.args, **kwargs: Rest.kwargs) -> JobCall: ...

    def s(self, /, *args: Any, **kwargs: Any) -> JobCall:
        """Return a call with these arguments, for chains, groups, graphs and batches; nothing is enqueued yet.

        In a chain the first argument may be left out: it is the result of the step before.
        """
        return JobCall(definition=self, args=args, kwargs=kwargs)


def _check_redacted(label: str, redact: tuple[str, ...], signature: CallSignature) -> None:
    kinds = {parameter.kind for parameter in signature.parameters.values()}
    unknown = sorted(set(redact) - set(signature.parameters))
    if unknown and inspect.Parameter.VAR_KEYWORD not in kinds:
        raise ConfigurationError(
            f"{label}: redact: expected arguments of {signature.signature}, got {', '.join(unknown)}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCall:
    """A job with arguments, made by ``job.s(...)``. Immutable: each method returns another.

    ``takes_result``: in a chain, the result of the step before is the first argument, unless ``RESULT`` is among the
    arguments.
    """

    definition: JobDefinition[..., Any]
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any]
    takes_result: bool = True

    def without_result(self) -> JobCall:
        """Return the same call, which in a chain is not given the result of the step before."""
        return replace(self, takes_result=False)

    def using(self, **options: Unpack[UsingOptions]) -> JobCall:
        """Return the same call with options for its enqueue; see ``UsingOptions``."""
        return replace(self, definition=self.definition.using(**options))

    def enqueue(self) -> Job:
        """Insert the job in the caller's transaction and return it."""
        return self.definition.enqueue(*self.args, **self.kwargs)

    async def aenqueue(self) -> Job:
        """Do what ``enqueue`` does, from asynchronous code."""
        return await self.definition.aenqueue(*self.args, **self.kwargs)

    def __repr__(self) -> str:
        """Leave the arguments out: they may be secret."""
        return f"<call of {self.definition.name}>"


class _Decorator(Protocol):
    def __call__(self, function: Callable[P, R], /) -> JobDefinition[P, R]: ...


class _ChunkDecorator(Protocol):
    """The function takes the items of many jobs; each is enqueued with one argument."""

    def __call__(self, function: Callable[[Sequence[ChunkItem[T]]], R], /) -> JobDefinition[[T], R]: ...


class _ContextDecorator(Protocol):
    """The first parameter is the worker's to fill, and no argument of the job."""

    def __call__(self, function: Callable[Concatenate[JobContext, P], R], /) -> JobDefinition[P, R]: ...


@overload
def job(function: Callable[P, R], /) -> JobDefinition[P, R]: ...


@overload
def job(*, chunk: Chunk, **options: Unpack[JobKeywords]) -> _ChunkDecorator: ...


@overload
def job(*, takes_context: Literal[True], **options: Unpack[JobKeywords]) -> _ContextDecorator: ...


@overload
def job(*, takes_context: Literal[False] = ..., **options: Unpack[JobKeywords]) -> _Decorator: ...


def job(
    function: Callable[..., Any] | None = None,
    /,
    *surplus: Any,
    takes_context: bool = False,
    chunk: Chunk | None = None,
    **options: Unpack[JobKeywords],
) -> Any:
    """Make a function a job: ``@job`` or ``@job(option=...)``; the options are those of ``JobKeywords``.

    takes_context: the function's first parameter is the JobContext.
    chunk: ``Chunk(500)``: the function is called with the items of up to so many jobs at once; see ``ChunkItem``.

    Raises ConfigurationError naming the job, the option, what was expected and what came.
    """
    if surplus or (function is not None and not callable(function)):
        _refuse_positions((function, *surplus))
    label = f"@job {options.get('name') or getattr(function, '__qualname__', '')}".rstrip()
    checked = read_job_options(label, options, takes_context=takes_context, chunk=chunk)
    schedule = {name: value for name, value in options.items() if name in ScheduleOptions.__annotations__}
    define = partial(
        _define,
        name=options.get("name"),
        options=checked,
        schedule=cast("ScheduleOptions", schedule),
    )
    return define if function is None else define(function)


def _refuse_positions(given: tuple[object, ...]) -> NoReturn:
    names = [value for value in given if isinstance(value, str)]
    example = f"queue_name={names[0]!r}" if names else "queue_name=..."
    got = ", ".join(map(repr, given))
    raise ConfigurationError(
        f"@job: expected a function, got {got}; options are given by keyword, such as @job({example})"
    )


def _define(
    function: Callable[..., Any], /, *, name: str | None, options: JobOptions, schedule: ScheduleOptions
) -> JobDefinition[Any, Any]:
    label = f"@job {name}" if name else "@job"
    if isinstance(function, staticmethod):
        function = function.__func__
    check_function(label, function)
    if name is None and (name := derived_name(function)) is None:
        raise ConfigurationError(
            f"{label}: {type(function).__name__} has no name of its own; give @job(name=...), got {function!r}"
        )
    check_name(name)
    origin = find_origin(function)
    if options.redact:
        function = sensitive_variables(*options.redact)(function)
    definition: JobDefinition[Any, Any] = JobDefinition(function, name=name, options=options, origin=origin)
    registry.register(definition)
    record_definition(name, origin)
    if schedule:
        define_schedule(name, definition, arguments={}, options=schedule, origin=origin_of(function))
    return definition


def find_job(name: str, *, unknown: Literal["raise", "allow"] = "raise") -> JobDefinition[..., Any]:
    """Return the job of this name: ``find_job("mail.send").using(priority=5).enqueue(7)``.

    unknown: for a name that this process does not know. ``raise``: an UnknownJobError with the nearest name; none is
    raised before ``django.setup()`` has ended and all names are known. ``allow``, for a job of another code base: a job
    with the settings' defaults that takes any arguments, which its worker checks.

    Raises ConfigurationError for a name that no job can have, and for anything but a name.
    """
    if not isinstance(name, str):
        _refuse_as_name(name)
    if unknown not in ("raise", "allow"):
        raise ConfigurationError(f"find_job: unknown: expected 'raise' or 'allow', got {unknown!r}")
    definition = registry.find(name)
    if isinstance(definition, JobDefinition):
        return definition
    check_name(name)
    if unknown == "raise" and apps.ready:
        raise registry.unknown_job(name, may_be_foreign=True)
    return JobDefinition(_unknown_function, name=name, options=JobOptions())


def _refuse_as_name(given: object) -> NoReturn:
    if registry.as_definition(given) is not None:
        raise ConfigurationError(f"expected the name of a job, got the job itself, {given!r}; call its enqueue(...)")
    raise ConfigurationError(f"expected the name of a job, such as 'shop.jobs.send', got {given!r}; @job makes a job")


def enqueue(name: str, /, *args: Any, **kwargs: Any) -> Job:
    """Insert one job by its name: the caller need not import the function.

    Raises what ``find_job(name)`` raises; ``find_job(name, unknown="allow").enqueue(...)`` takes any name.
    """
    return find_job(name).enqueue(*args, **kwargs)


async def aenqueue(name: str, /, *args: Any, **kwargs: Any) -> Job:
    """Do what ``enqueue`` does, from asynchronous code."""
    return await find_job(name).aenqueue(*args, **kwargs)


def _unknown_function(*args: Any, **kwargs: Any) -> None:
    """Stand for a function that this process does not know; never called."""
