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
from .conf.readers import MAX_NAME_LENGTH, as_max_attempts, as_priority, as_queue_name, as_span
from .conf.settings import JOB_OPTION_READERS
from .exceptions import ConfigurationError
from .limits import as_limits
from .policy.backoff import MAX_WAIT, Backoff, BackoffOption
from .policy.graph import OnDead
from .policy.limits import CircuitBreaker, Concurrency, KeyOption, Limit, Ordering, RateLimit
from .uniqueness import KeyFunction, Unique, as_idempotency_key, as_idempotency_window

ExceptionTypes = type[BaseException] | tuple[type[BaseException], ...]
LONG_AGO, LAST_YEAR = datetime(1970, 1, 1, tzinfo=UTC), 9000
"""The instants that every database stores and converts to any time zone; an earlier one is due at once."""


class UsingOptions(TypedDict, total=False):
    """Options of one enqueue, given to ``using``, each with its type and check. None: as if not given.

    run_after: an aware datetime, or a timedelta from the database's now; the job is due then.
    metadata: a small JSON object that travels with the job.
    idempotency_key: an enqueue with the key of an earlier one returns the earlier job; a text, or a function of the
    arguments. idempotency_window: for how long (default: the setting).
    expires_at: as ``run_after``; a job that has not started by then is cancelled.
    """

    run_after: Annotated[datetime | timedelta | None, as_instant]
    queue_name: Annotated[str | None, as_queue_name]
    priority: Annotated[int | None, as_priority]
    max_attempts: Annotated[int | None, as_max_attempts]
    metadata: Annotated[Mapping[str, Any] | None, _as_metadata]
    idempotency_key: Annotated[str | KeyFunction | None, as_idempotency_key]
    idempotency_window: Annotated[timedelta | None, as_idempotency_window]
    expires_at: Annotated[datetime | timedelta | None, _as_expires_at]


class ScheduleOptions(TypedDict, total=False):
    """When a schedule enqueues its job, given to ``schedule`` or ``@job``.

    cron: five fields, a sixth for seconds, or ``@daily`` and its like; or every: a timedelta or seconds, counted from
    1970 in UTC. timezone: an IANA name for cron (default UTC). jitter: fire up to so much later, to spread load.
    overlap: ``skip``, ``queue``, ``allow`` or ``replace`` if the last job has not ended. catch_up: which missed ticks
    fire after an outage, ``latest``, ``all`` (at most ``catch_up_limit``) or ``none``.
    """

    cron: str
    every: timedelta | float
    timezone: str
    jitter: timedelta | float
    overlap: str
    catch_up: str
    catch_up_limit: int


class JobKeywords(ScheduleOptions, total=False):
    """Options of ``@job``, as they are given.

    name: stored with each job; default: module and qualified name. Renaming it strands waiting jobs.
    queue_name, priority (-100 to 100, higher first), max_attempts (the first included).
    backoff: ``Exponential``, ``Linear``, ``Constant``, a list of waits, or ``(exception, context) ->
    timedelta | seconds | None`` (None: dead now). Default 5 s, 25 s, 125 s ..., with jitter.
    retry_on: exceptions that lead to another attempt; any other is dead at once. discard_on: dead at once, and wins.
    timeout: a timedelta or whole seconds; JobTimeoutError is raised inside the function.
    atomic: the function's writes to the jobs' database and the finish commit together.
    redact: arguments that are never shown, besides those that the setting REDACT finds.
    unique: ``Unique(...)``: at most one waiting job for each value of chosen arguments.
    expires: not started so long after it is due (timedelta or seconds), a job is cancelled.
    result_ttl: how long the result of a succeeded job is kept; default: the setting RESULTS["TTL"].
    schedulable: staff may write schedules for the job in the admin.
    rate_limit: a ``RateLimit``, or text such as ``"10/s"``. concurrency: a ``Concurrency`` or a number. ordering_key:
    the name of an argument, a function of the arguments or an ``Ordering``. breaker: a ``CircuitBreaker``. All of them
    count over all workers.
    cron, every and the rest of ``ScheduleOptions``: a schedule of the job's own name, without arguments.
    """

    name: str | None
    queue_name: str | None
    priority: int | None
    max_attempts: int | None
    backoff: BackoffOption | None
    retry_on: ExceptionTypes
    discard_on: ExceptionTypes
    timeout: timedelta | int | None
    atomic: bool
    redact: Collection[str]
    unique: Unique | None
    expires: timedelta | int | None
    result_ttl: timedelta | float | None
    schedulable: bool
    rate_limit: RateLimit | str | None
    concurrency: Concurrency | int | None
    ordering_key: Ordering | KeyOption
    breaker: CircuitBreaker | None


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
    """Return an aware datetime, or a timedelta that is not too long, or raise ConfigurationError."""
    if not isinstance(value, timedelta | datetime):
        raise ConfigurationError(f"{option}: expected an aware datetime or a timedelta, got {value!r}")
    if isinstance(value, timedelta) and value > MAX_WAIT:
        raise ConfigurationError(f"{option}: expected at most {MAX_WAIT}, got {value!r}")
    if isinstance(value, datetime) and value.utcoffset() is None:
        raise ConfigurationError(
            f"{option}: expected an aware datetime, got the naive {value!r};"
            " django.utils.timezone.make_aware() gives it a time zone"
        )
    if isinstance(value, datetime) and value.year > LAST_YEAR:
        raise ConfigurationError(f"{option}: expected a year up to {LAST_YEAR}, got {value!r}")
    return value


def _as_expires_at(option: str, value: object) -> datetime | timedelta:
    return as_instant(option, as_span(option, value) if isinstance(value, timedelta) else value)


def _as_metadata(option: str, value: object) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return value
    raise ConfigurationError(f"{option}: expected a dict, got {value!r}")


USING_CHECKS: Mapping[str, Callable[[str, object], Any]] = {
    option: hint.__metadata__[0] for option, hint in get_type_hints(UsingOptions, include_extras=True).items()
}


def check_using(name: str, options: UsingOptions) -> UsingOptions:
    """Return the options given to ``using(...)`` of the job ``name``, checked, or raise ConfigurationError."""
    checked: dict[str, Any] = {}
    for option, value in options.items():
        check = USING_CHECKS.get(option)
        if check is None:
            raise ConfigurationError(f"{name}.using({option}): known options are {', '.join(USING_CHECKS)}")
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
    expires: timedelta | None = field(default=None, metadata={"check": as_span})
    result_ttl: timedelta | None = field(default=None, metadata={"check": as_span})

    def resolve(self, option: str, queue_name: str | None = None) -> Any:
        """Return the option's value: the job's own, its queue's (DJANGO_JOBS['QUEUES']) or the default."""
        own = getattr(self, option)
        if own is not None:
            return own
        settings = get_settings()
        queue = settings.queues.get(queue_name or self.queue_name or settings.job_defaults.queue_name, {})
        return queue[option] if option in queue else getattr(settings.job_defaults, option)


def read_job_options(label: str, given: JobKeywords, *, takes_context: bool) -> JobOptions:
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
    return JobOptions(**values, limits=limits, takes_context=takes_context)


def check_option_names(label: str, given: Mapping[str, Any], known: type) -> None:
    """Raise ConfigurationError unless all names of ``given`` are keys of the TypedDict ``known``."""
    unknown = sorted(set(given) - set(known.__annotations__))
    if unknown:
        raise ConfigurationError(
            f"{label}: unknown option {', '.join(unknown)}; known are {', '.join(known.__annotations__)}"
        )


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
        if not isinstance(getattr(job, "pk", None), int) or not hasattr(job, "claim_number"):
            raise ConfigurationError(
                f"{name}.after(...): expected jobs that were enqueued before, got {job!r}; jobs that are enqueued"
                " together go into a chain, a group or a Graph"
            )
    return [job.pk for job in jobs], OnDead(str(on_dead))
