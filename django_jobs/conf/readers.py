"""Readers of single values: ``(option, value) -> checked value``, or ConfigurationError.

Durations are given as timedeltas or seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, TypeVar

from django.conf import settings as django_settings

from ..exceptions import ConfigurationError
from ..policy.backoff import MAX_WAIT, Backoff, as_backoff
from .fields import Reader

T = TypeVar("T")
MAX_NAME_LENGTH = 200
MAX_QUEUE_NAME_LENGTH = 100
MAX_PROJECT_LENGTH = 100
MIN_PRIORITY, MAX_PRIORITY = -100, 100
MAX_ATTEMPTS_BOUND = 10_000
MAX_ALIAS_LENGTH = 100
"""Of RESULTS["STORAGE"]: the alias is stored beside each result that it keeps."""

AccessCheck = Callable[[Any, Any], bool]
"""``(request, job) -> bool``: may the sender of the request see the job and its result without a signed address?"""


def as_timeout(option: str, value: object) -> timedelta | None:
    """Return ``value`` (timedelta, whole seconds or None) as a timeout, or raise ConfigurationError."""
    if value is None:
        return None
    timeout = as_duration(option, value)
    if timeout <= timedelta(0):
        raise ConfigurationError(f"{option}: expected a positive timeout, got {value!r}")
    return timeout


def as_span(option: str, value: object) -> timedelta | None:
    """Return ``value`` (timedelta, seconds or None) as a duration above zero, or raise ConfigurationError."""
    if value is None:
        return None
    span = as_duration(option, value)
    if not timedelta(0) < span <= MAX_WAIT:
        raise ConfigurationError(f"{option}: expected more than zero and at most {MAX_WAIT}, got {value!r}")
    return span


def as_priority(option: str, value: object) -> int:
    """Return ``value`` as a priority, or raise ConfigurationError."""
    if type(value) is int and MIN_PRIORITY <= value <= MAX_PRIORITY:
        return value
    raise ConfigurationError(
        f"{option}: expected a whole number from {MIN_PRIORITY} to {MAX_PRIORITY} (higher runs first), got {value!r}"
    )


def as_max_attempts(option: str, value: object) -> int:
    """Return ``value`` as a number of attempts, the first included, or raise ConfigurationError."""
    if type(value) is int and 1 <= value <= MAX_ATTEMPTS_BOUND:
        return value
    raise ConfigurationError(
        f"{option}: expected a whole number from 1 to {MAX_ATTEMPTS_BOUND} (the first attempt included), got {value!r}"
    )


def as_queue_name(option: str, value: object) -> str:
    """Return ``value`` as a queue name, or raise ConfigurationError."""
    if (
        isinstance(value, str)
        and 0 < len(value) <= MAX_QUEUE_NAME_LENGTH
        and value.isprintable()
        and "," not in value
        and value == value.strip()
    ):
        return value
    raise ConfigurationError(
        f"{option}: expected 1 to {MAX_QUEUE_NAME_LENGTH} printable characters without commas, got {_cut(value)}"
    )


def as_job_backoff(option: str, value: object) -> Backoff:
    """Return ``value`` as a backoff, or raise ConfigurationError."""
    try:
        return as_backoff(value)  # type: ignore[arg-type]  # as_backoff refuses what is not one
    except ValueError as error:
        raise ConfigurationError(f"{option}: {error}") from None


def as_duration(option: str, value: object) -> timedelta:
    """Return ``value`` (timedelta or seconds) as a duration, or raise ConfigurationError."""
    if isinstance(value, timedelta):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return timedelta(seconds=value)
        except (OverflowError, ValueError):
            pass
    raise ConfigurationError(f"{option}: expected a timedelta or seconds, got {value!r}")


def as_positive_duration(option: str, value: object) -> timedelta:
    """Return ``value`` as a duration above zero, or raise ConfigurationError."""
    duration = as_duration(option, value)
    if duration <= timedelta(0):
        raise ConfigurationError(f"{option}: expected a positive duration, got {value!r}")
    return duration


def as_duration_from_zero(option: str, value: object) -> timedelta:
    """Return ``value`` as a duration of zero or more, or raise ConfigurationError."""
    duration = as_duration(option, value)
    if duration < timedelta(0):
        raise ConfigurationError(f"{option}: expected a duration of zero or more, got {value!r}")
    return duration


def as_count(option: str, value: object) -> int:
    """Return ``value`` as a whole number of at least 1, or raise ConfigurationError."""
    if type(value) is int and value >= 1:
        return value
    raise ConfigurationError(f"{option}: expected a whole number of at least 1, got {value!r}")


def as_count_from_zero(option: str, value: object) -> int:
    """Return ``value`` as a whole number of zero or more, or raise ConfigurationError."""
    if type(value) is int and value >= 0:
        return value
    raise ConfigurationError(f"{option}: expected a whole number of zero or more, got {value!r}")


def whole_number(*, min_value: int, max_value: int) -> Reader[int]:
    """Return the reader of whole numbers within these bounds."""

    def read(option: str, value: object) -> int:
        if type(value) is int and min_value <= value <= max_value:
            return value
        raise ConfigurationError(f"{option}: expected a whole number from {min_value} to {max_value}, got {value!r}")

    return read


def optional(read: Reader[T]) -> Reader[T | None]:
    """Return the reader of what ``read`` takes, or None."""
    return lambda option, value: None if value is None else read(option, value)


def as_access_check(option: str, value: object) -> AccessCheck | str | None:
    """Return ``value`` as a function of (request, job), its dotted path or None, or raise ConfigurationError."""
    if value is None or callable(value) or (isinstance(value, str) and "." in value):
        return value
    raise ConfigurationError(
        f"{option}: expected a function of (request, job), its dotted path, or None; got {value!r}"
    )


def as_dotted_path(option: str, value: object) -> str | None:
    """Return ``value`` if it is the dotted path of something in a module, or None, or raise ConfigurationError."""
    if value is None:
        return None
    if isinstance(value, str) and "." in value and all(part.isidentifier() for part in value.split(".")):
        return value
    raise ConfigurationError(f"{option}: expected a dotted path such as 'shop.setup.configure', or None; got {value!r}")


def as_bool(option: str, value: object) -> bool:
    """Return ``value`` if it is True or False, or raise ConfigurationError."""
    if isinstance(value, bool):
        return value
    raise ConfigurationError(f"{option}: expected True or False, got {value!r}")


def as_database_alias(option: str, value: object) -> str:
    """Return ``value`` as an alias of DATABASES, or raise ConfigurationError."""
    return _as_alias(option, value, known=django_settings.DATABASES, expected="an alias of DATABASES")


def as_storage_alias(option: str, value: object) -> str | None:
    """Return ``value`` as an alias of STORAGES, or None, or raise ConfigurationError."""
    if value is None:
        return None
    if isinstance(value, str) and len(value) > MAX_ALIAS_LENGTH:
        raise ConfigurationError(
            f"{option}: expected an alias of up to {MAX_ALIAS_LENGTH} characters, got {_cut(value)}"
        )
    return _as_alias(option, value, known=django_settings.STORAGES, expected="None or an alias of STORAGES")


def _as_alias(option: str, value: object, *, known: Mapping[str, object], expected: str) -> str:
    if not isinstance(value, str) or not value:
        raise ConfigurationError(f"{option}: expected a name, got {value!r}")
    if value not in known:
        raise ConfigurationError(f"{option}: expected {expected} ({', '.join(sorted(known))}), got {value!r}")
    return value


def as_names(option: str, value: object) -> tuple[str, ...]:
    """Return ``value`` as a tuple of names, or raise ConfigurationError."""
    if isinstance(value, (list, tuple, set, frozenset)) and all(isinstance(name, str) and name for name in value):
        return tuple(value)
    raise ConfigurationError(f"{option}: expected a tuple of names, got {value!r}")


def as_project(option: str, value: object) -> tuple[str, ...]:
    """Return the names of a project, the present one first, or raise ConfigurationError; none: the default."""
    names = (value,) if isinstance(value, str) else value
    if isinstance(names, (list, tuple)) and all(
        isinstance(name, str) and 0 < len(name) <= MAX_PROJECT_LENGTH and name.isprintable() for name in names
    ):
        return tuple(names)
    raise ConfigurationError(
        f"{option}: expected a name of 1 to {MAX_PROJECT_LENGTH} printable characters, or a tuple of the present name"
        f" and earlier ones, got {_cut(value)}"
    )


def _cut(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "..."
