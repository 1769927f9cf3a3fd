"""What ``@job`` and ``using(...)`` may be told, and the checks that name what was expected and what came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from .conf import get_settings
from .conf.readers import MAX_NAME_LENGTH, as_span
from .conf.settings import JOB_OPTION_READERS
from .exceptions import ConfigurationError
from .policy.backoff import MAX_WAIT, Backoff
from .policy.graph import OnDead
from .policy.limits import Limit
from .uniqueness import Unique, check_idempotency

ExceptionTypes = type[BaseException] | tuple[type[BaseException], ...]
LONG_AGO, LAST_YEAR = datetime(1970, 1, 1, tzinfo=UTC), 9000
"""What every database can hold and reckon with in any time zone; all that is past is due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """What ``@job`` was told. None: the queue's setting, then the default."""

    queue_name: str | None = None
    priority: int | None = None
    max_attempts: int | None = None
    backoff: Backoff | None = None
    timeout: timedelta | None = None
    retry_on: tuple[type[BaseException], ...] = (Exception,)
    discard_on: tuple[type[BaseException], ...] = ()
    atomic: bool = False
    takes_context: bool = False
    redact: tuple[str, ...] = ()
    schedulable: bool = False
    limits: tuple[Limit, ...] = ()
    unique: Unique | None = None
    expires: timedelta | None = None
    result_ttl: timedelta | None = None

    def resolve(self, option: str, queue_name: str | None = None) -> Any:
        """Return the option's value: the job's own, its queue's (DJANGO_JOBS['QUEUES']) or the default."""
        own = getattr(self, option)
        if own is not None:
            return own
        settings = get_settings()
        queue = settings.queues.get(queue_name or self.queue_name or settings.job_defaults.queue_name, {})
        return queue[option] if option in queue else getattr(settings.job_defaults, option)


def check_name(name: object) -> None:
    """Raise ConfigurationError unless ``name`` can be a job's name."""
    if not (
        isinstance(name, str)
        and 0 < len(name) <= MAX_NAME_LENGTH
        and name.isprintable()
        and name == name.strip()
    ):
        raise ConfigurationError(
            f"@job: name must be 1 to {MAX_NAME_LENGTH} printable characters, got {str(name)[:MAX_NAME_LENGTH]!r}"
        )


def as_exception_types(label: str, given: object) -> tuple[type[BaseException], ...]:
    """Return ``given`` as a tuple of exception classes, or raise ConfigurationError."""
    types = given if isinstance(given, tuple) else (given,)
    if all(isinstance(one, type) and issubclass(one, BaseException) for one in types):
        return types
    raise ConfigurationError(f"{label} must be an exception class or a tuple of them, got {given!r}")


def check_enqueue_options(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options given to ``using(...)``, checked, or raise ConfigurationError."""
    checked = dict(options)
    for option, value in options.items():
        if option in JOB_OPTION_READERS:
            checked[option] = JOB_OPTION_READERS[option](f"{name}.using({option})", value)
    _check_instant(f"{name}.using(run_after)", options.get("run_after"))
    expires_at = options.get("expires_at")
    if isinstance(expires_at, timedelta):
        as_span(f"{name}.using(expires_at)", expires_at)
    _check_instant(f"{name}.using(expires_at)", expires_at)
    metadata = options.get("metadata")
    if not (metadata is None or isinstance(metadata, Mapping)):
        raise ConfigurationError(f"{name}.using(metadata): expected a dict, got {metadata!r}")
    check_idempotency(name, options)
    return checked


def _check_instant(option: str, value: object) -> None:
    """Raise ConfigurationError unless it is None, a timedelta that is not too long, or an aware datetime."""
    if not (value is None or isinstance(value, timedelta | datetime)):
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


def check_predecessors(name: str, jobs: Sequence[Any], on_dead: object) -> tuple[list[int], OnDead]:
    """Return the ids of what ``after(...)`` was given and what a death does, or raise ConfigurationError."""
    if on_dead not in set(OnDead):
        raise ConfigurationError(
            f"{name}.after(on_dead): expected {' or '.join(map(repr, map(str, OnDead)))}, got {on_dead!r}"
        )
    for one in jobs:
        if not isinstance(getattr(one, "pk", None), int) or not hasattr(one, "claim_number"):
            raise ConfigurationError(
                f"{name}.after(...): expected jobs that were enqueued before, got {one!r}; jobs that are enqueued"
                " together go into a chain, a group or a Graph"
            )
    return [one.pk for one in jobs], OnDead(str(on_dead))


def as_argument_names(label: str, given: object) -> tuple[str, ...]:
    """Return ``given`` as names of parameters, or raise ConfigurationError."""
    if isinstance(given, (tuple, list, set, frozenset)) and all(
        isinstance(one, str) and one for one in given
    ):
        return tuple(given)
    raise ConfigurationError(f"{label}: expected a tuple of names of arguments, got {given!r}")
