"""Options of ``@job``, ``using(...)`` and ``schedule(...)``: names, types and checks.

To add one for ``using``: a line in ``UsingOptions`` with its type and check, and ``enqueueing.new_job`` hands it to
the store. To add one for ``@job``: a line in ``JobKeywords``, and a field of ``JobOptions`` with its check.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypedDict, cast, get_type_hints

from .conf import get_settings
from .conf.database import check_database
from .conf.job_defaults import JOB_OPTION_READERS
from .conf.readers import MAX_NAME_LENGTH, as_duration, as_max_attempts, as_priority, as_queue_name, optional
from .exceptions import ConfigurationError
from .limits import as_limits
from .policy.backoff import Backoff, BackoffOption
from .policy.chunks import Chunk
from .policy.durations import MAX_DURATION, Duration, read_duration
from .policy.graph import OnDead
from .policy.hints import unknown_options
from .policy.limits import CircuitBreaker, Concurrency, KeyOption, Limit, Ordering, RateLimit
from .policy.metadata import RESERVED_KEYS
from .uniqueness import KeyFunction, Unique, as_idempotency_key

ExceptionTypes = type[BaseException] | tuple[type[BaseException], ...]
LONG_PAST = -MAX_DURATION
LONG_AGO, LAST_YEAR = datetime(1970, 1, 1, tzinfo=UTC), 9000
"""The instants that every database stores and converts to any time zone; an earlier one is due at once."""


class UsingOptions(TypedDict, total=False):
    """Options of one enqueue, given to ``using``, each with its type, check and text. None: as if not given."""

    run_after: Annotated[
        datetime | Duration | None,
        as_instant,
        "when the job is due: an aware datetime, or a timedelta or seconds from the database's now; if past: at once",
    ]
    queue_name: Annotated[str | None, as_queue_name, "the queue in which it waits"]
    priority: Annotated[int | None, as_priority, "-100 to 100; higher is claimed first"]
    max_attempts: Annotated[int | None, as_max_attempts, "how many attempts it has, the first included"]
    metadata: Annotated[Mapping[str, Any] | None, _as_metadata, "a small JSON object that travels with the job"]
    idempotency_key: Annotated[
        str | KeyFunction | None,
        as_idempotency_key,
        "an enqueue with the key of an earlier one returns the earlier job; a text, or a function of the arguments",
    ]
    idempotency_window: Annotated[Duration | None, as_duration, "for how long the key counts"]
    expires_at: Annotated[
        datetime | Duration | None, _as_expires_at, "as ``run_after``; a job that has not started by then is cancelled"
    ]
    database: Annotated[
        str | None, check_database, "alias of the database that it goes into, if ``DATABASES`` names several"
    ]


class ScheduleOptions(TypedDict, total=False):
    """When a schedule enqueues its job, given to ``schedule`` or ``@job``."""

    cron: Annotated[str, "five fields, a sixth for seconds, or ``@daily`` and its like"]
    every: Annotated[Duration, "instead of ``cron``: a timedelta or seconds, counted from 1970 in UTC"]
    timezone: Annotated[str, "an IANA name, for ``cron``"]
    jitter: Annotated[Duration, "fire up to so much later, to spread load"]
    overlap: Annotated[str, "``skip``, ``queue``, ``allow`` or ``replace``, if the last job has not ended"]
    catch_up: Annotated[str, "which missed ticks fire after an outage: ``latest``, ``all`` or ``none``"]
    catch_up_limit: Annotated[int, "how many of them with ``all``"]


class JobKeywords(ScheduleOptions, total=False):
    """Options of ``@job``, as they are given, each with its text.

    Those of ``ScheduleOptions`` define a schedule of the job's own name, without arguments.
    """

    name: Annotated[str | None, "stored with each job. Renaming it strands waiting jobs"]
    queue_name: Annotated[str | None, "the queue in which its jobs wait"]
    priority: Annotated[int | None, "-100 to 100; higher is claimed first"]
    max_attempts: Annotated[int | None, "how many attempts a job has, the first included"]
    backoff: Annotated[
        BackoffOption | None,
        "the wait before the next attempt: ``Exponential``, ``Linear``, ``Constant``, a wait, a list of waits, or a"
        " function ``(exception, context) -> wait | None``; None: dead now",
    ]
    retry_on: Annotated[ExceptionTypes, "exceptions that lead to another attempt; any other is dead at once"]
    discard_on: Annotated[ExceptionTypes, "exceptions that are dead at once; it wins over ``retry_on``"]
    timeout: Annotated[Duration | None, "``JobTimeoutError`` is raised inside the function after so long"]
    atomic: Annotated[bool, "the function's writes to the jobs' database and the finish commit together"]
    redact: Annotated[
        Collection[str], "arguments that are never shown, besides those that the setting ``REDACT`` finds"
    ]
    unique: Annotated[Unique | None, "``Unique(...)``: at most one waiting job for each value of chosen arguments"]
    expires: Annotated[Duration | None, "a job that has not started so long after it is due is cancelled"]
    result_ttl: Annotated[Duration | None, "how long the result of a succeeded job is kept"]
    schedulable: Annotated[bool, "staff may write schedules for the job in the admin"]
    rate_limit: Annotated[RateLimit | str | None, "a ``RateLimit``, or text such as ``10/s``; over all workers"]
    concurrency: Annotated[Concurrency | int | None, "a ``Concurrency``, or how many run at once over all workers"]
    ordering_key: Annotated[
        Ordering | KeyOption,
        "jobs of one key run one after another: an argument's name, a function of the arguments, or an ``Ordering``",
    ]
    breaker: Annotated[CircuitBreaker | None, "a ``CircuitBreaker``: no job starts while too many fail"]


def as_exception_types(option: str, given: object) -> tuple[type[BaseException], ...]:
    """Return ``given`` as a tuple of exception classes, or raise ConfigurationError."""
    types = given if isinstance(given, tuple) else (given,)
    if all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in types):
        return types
    raise ConfigurationError(f"{option} must be an exception class or a tuple of them, got {given!r}")


def as_argument_names(option: str, given: object) -> tuple[str, ...]:
    """Return ``given`` as names of parameters, or raise ConfigurationError."""
    if isinstance(given, (tuple, list, set, frozenset)) and all(isinstance(name, str) and name for name in given):
        return tuple(given)
    raise ConfigurationError(f"{option}: expected a tuple of names of arguments, got {given!r}")


def as_instant(option: str, value: object) -> datetime | timedelta:
    """Return an aware datetime, or a delay, or raise ConfigurationError. Either may be past: due at once."""
    return _as_aware(option, value) if isinstance(value, datetime) else _as_delay(option, value, minimum=LONG_PAST)


def _as_expires_at(option: str, value: object) -> datetime | timedelta:
    if isinstance(value, datetime):
        return _as_aware(option, value)
    return _as_delay(option, value, minimum=timedelta.resolution)


def _as_aware(option: str, value: datetime) -> datetime:
    if value.utcoffset() is None:
        raise ConfigurationError(
            f"{option}: expected an aware datetime, got the naive {value!r};"
            " django.utils.timezone.make_aware() gives it a time zone"
        )
    if value.year > LAST_YEAR:
        raise ConfigurationError(f"{option}: expected a year up to {LAST_YEAR}, got {value!r}")
    return value


def _as_delay(option: str, value: object, *, minimum: timedelta) -> timedelta:
    try:
        return read_duration(option, value, minimum=minimum)
    except ValueError:
        bound = "above zero, " if minimum > timedelta(0) else ""
        raise ConfigurationError(
            f"{option}: expected an aware datetime, or a timedelta or seconds, {bound}at most {MAX_DURATION.days} days;"
            f" got {value!r}"
        ) from None


def _as_metadata(option: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{option}: expected a dict, got {value!r}")
    check_metadata_keys(option, value)
    return value


def check_metadata_keys(label: str, metadata: Mapping[str, Any]) -> None:
    """Refuse keys that are the engine's own. Raises ConfigurationError; ``label`` names the metadata."""
    if not RESERVED_KEYS.isdisjoint(metadata):
        raise ConfigurationError(
            f"{label}: expected keys other than {', '.join(map(repr, sorted(RESERVED_KEYS)))}, under which the engine"
            " keeps how a Task was called"
        )


USING_CHECKS: Mapping[str, Callable[[str, object], Any]] = {
    option: hint.__metadata__[0] for option, hint in get_type_hints(UsingOptions, include_extras=True).items()
}


def check_using(name: str, options: UsingOptions) -> UsingOptions:
    """Return the options given to ``using(...)`` of the job ``name``, checked, or raise ConfigurationError."""
    checked: dict[str, Any] = {}
    for option, value in options.items():
        check = USING_CHECKS.get(option)
        if check is None:
            check_option_names(f"{name}.using", options, UsingOptions)
            continue
        checked[option] = None if value is None else check(f"{name}.using({option})", value)
    return cast("UsingOptions", checked)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """Checked options of ``@job``. None: the queue's setting, then the default. ``check`` reads a keyword."""

    queue_name: str | None = field(default=None, metadata={"check": JOB_OPTION_READERS["queue_name"]})
    priority: int | None = field(default=None, metadata={"check": JOB_OPTION_READERS["priority"]})
    max_attempts: int | None = field(default=None, metadata={"check": JOB_OPTION_READERS["max_attempts"]})
    backoff: Backoff | None = field(default=None, metadata={"check": JOB_OPTION_READERS["backoff"]})
    timeout: timedelta | None = field(default=None, metadata={"check": JOB_OPTION_READERS["timeout"]})
    retry_on: tuple[type[BaseException], ...] = field(default=(Exception,), metadata={"check": as_exception_types})
    discard_on: tuple[type[BaseException], ...] = field(default=(), metadata={"check": as_exception_types})
    atomic: bool = False
    takes_context: bool = False
    redact: tuple[str, ...] = field(default=(), metadata={"check": as_argument_names})
    schedulable: bool = False
    limits: tuple[Limit, ...] = ()
    unique: Unique | None = None
    expires: timedelta | None = field(default=None, metadata={"check": optional(as_duration)})
    result_ttl: timedelta | None = field(default=None, metadata={"check": optional(as_duration)})
    chunk: Chunk | None = None

    def resolve(self, option: str, queue_name: str | None = None) -> Any:
        """Return the option's value: the job's own, its queue's (DJANGO_JOBS['QUEUES']) or the default."""
        own = getattr(self, option)
        if own is not None:
            return own
        settings = get_settings()
        queue = settings.queues.get(queue_name or self.queue_name or settings.job_defaults.queue_name, {})
        return queue[option] if option in queue else getattr(settings.job_defaults, option)


def read_job_options(label: str, given: JobKeywords, *, takes_context: bool, chunk: Chunk | None = None) -> JobOptions:
    """Return the options given to ``@job``, checked. Raises ConfigurationError; ``label`` names the job."""
    check_option_names(label, given, JobKeywords)
    values: dict[str, Any] = {}
    for option in fields(JobOptions):
        value = given.get(option.name, option.default)
        if value is not option.default:
            check = option.metadata.get("check")
            values[option.name] = check(f"{label}: {option.name}", value) if check else value
    limits = as_limits(
        label,
        rate_limit=given.get("rate_limit"),
        concurrency=given.get("concurrency"),
        ordering_key=given.get("ordering_key"),
        breaker=given.get("breaker"),
    )
    if chunk is not None:
        _check_chunk(label, chunk, takes_context=takes_context)
        values["chunk"] = chunk
    return JobOptions(**values, limits=limits, takes_context=takes_context)


def _check_chunk(label: str, given: object, *, takes_context: bool) -> None:
    if not isinstance(given, Chunk):
        raise ConfigurationError(f"{label}: chunk: expected a Chunk, such as Chunk(500), got {given!r}")
    if takes_context:
        raise ConfigurationError(f"{label}: takes_context does not go with chunk: each item has its job's context")


_NOWHERE: Mapping[str, Sequence[str]] = {}


def check_option_names(
    label: str,
    given: Mapping[str, Any],
    known: type,
    *,
    without: Sequence[str] = (),
    more: Sequence[str] = (),
    elsewhere: Mapping[str, Sequence[str]] = _NOWHERE,
) -> None:
    """Raise ConfigurationError, with hints, unless all names of ``given`` are keys of the TypedDict ``known``.

    The text lists them as known, with those of ``more`` and not those of ``without``. ``elsewhere``: the options of
    calls that hints name first, by what the text calls these calls.
    """
    unknown = sorted(set(given) - set(known.__annotations__))
    if unknown:
        others = dict(elsewhere) | {place: names for kind, (place, names) in _PLACES.items() if kind is not known}
        _, names = _PLACES.get(known, ("", tuple(known.__annotations__)))
        taken = [name for name in (*names, *more) if name not in without]
        raise ConfigurationError(unknown_options(label, unknown, taken, elsewhere=others))


_OWN_OF_JOB = [name for name in JobKeywords.__annotations__ if name not in ScheduleOptions.__annotations__]
_PLACES: Mapping[type, tuple[str, tuple[str, ...]]] = {
    JobKeywords: ("@job", (*_OWN_OF_JOB, "takes_context", "chunk", *ScheduleOptions.__annotations__)),
    UsingOptions: ("using(...)", tuple(UsingOptions.__annotations__)),
    ScheduleOptions: ("schedule(...)", (*ScheduleOptions.__annotations__, "args")),
}
"""By the type of the options of a call: how a text names the call, and what it takes."""


def check_name(name: object) -> None:
    """Raise ConfigurationError unless ``name`` can be a job's name."""
    if not (isinstance(name, str) and 0 < len(name) <= MAX_NAME_LENGTH and name.isprintable() and name == name.strip()):
        raise ConfigurationError(
            f"@job: name must be 1 to {MAX_NAME_LENGTH} printable characters, got {str(name)[:MAX_NAME_LENGTH]!r}"
        )


def check_predecessors(name: str, jobs: Sequence[Any], on_dead: object) -> tuple[list[int], OnDead]:
    """Return the ids and the rule that ``after(...)`` was given, or raise ConfigurationError."""
    if on_dead not in set(OnDead):
        raise ConfigurationError(
            f"{name}.after(on_dead): expected {' or '.join(map(repr, map(str, OnDead)))}, got {on_dead!r}"
        )
    for job in jobs:
        if not isinstance(getattr(job, "pk", None), int) or not hasattr(job, "enqueued_at"):
            raise ConfigurationError(
                f"{name}.after(...): expected jobs that were enqueued before, got {job!r}; jobs that are enqueued"
                " together go into a chain, a group or a Graph"
            )
    return [job.pk for job in jobs], OnDead(str(on_dead))


def _database_of(job: Any) -> str:
    """Return the alias of a row, or of what stands for a job."""
    state = getattr(job, "_state", None)
    alias: str = job.database if state is None else state.db
    return alias


def common_database(name: str, jobs: Sequence[Any], *, known: str | None = None) -> str | None:
    """Return the database of all of the jobs, and of others that are ``known``; None if all jobs are in one anyway.

    Raises ConfigurationError if they are in two.
    """
    if not get_settings().has_many_databases:
        return None
    found = [*([known] if known is not None else []), *map(_database_of, jobs)]
    if other := next((alias for alias in found if alias != found[0]), None):
        raise ConfigurationError(f"{name}: expected jobs of one database, got some of {found[0]!r} and of {other!r}")
    return found[0] if found else None
