"""Readers of single values: ``(option, value) -> checked value``, or ConfigurationError.

Durations are given as timedeltas or seconds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import PurePath
from typing import Any, TypeGuard, TypeVar

from django.conf import settings as django_settings

from ..exceptions import ConfigurationError
from ..policy.backoff import Backoff, as_backoff
from ..policy.durations import read_duration
from ..policy.job_ids import is_part_of_id
from ..policy.priorities import MAX_PRIORITY, MIN_PRIORITY
from .fields import Reader

T = TypeVar("T")
MAX_NAME_LENGTH = 200
MAX_QUEUE_NAME_LENGTH = 100
MAX_PROJECT_LENGTH = 100
MAX_RELEASE_LENGTH = 100
MAX_ATTEMPTS_BOUND = 10_000
START_METHODS = ("fork", "spawn")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s/:@\[\]]+)(:[0-9]{1,5})?")
_BASE_URL = re.compile(r"https?://[^/?#\s@]+/?")
MAX_ALIAS_LENGTH = 100
"""Of RESULTS["STORAGE"]: the alias is stored beside each result that it keeps."""

AccessCheck = Callable[[Any, Any], bool]
"""``(request, job) -> bool``: may the sender of the request see the job and its result without a signed address?"""

FindRelease = Callable[[], object]
"""``() -> str | None``: the release of the code that runs; None if it is not known."""


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
        return str.__str__(value)  # a member of an enum is its value: in a text it would be the name of its class
    raise ConfigurationError(
        f"{option}: expected 1 to {MAX_QUEUE_NAME_LENGTH} printable characters without commas, got {_cut(value)}"
    )


def as_job_backoff(option: str, value: object) -> Backoff:
    """Return ``value`` as a backoff, or raise ConfigurationError."""
    try:
        return as_backoff(value, label=option)  # type: ignore[arg-type]  # as_backoff refuses what is not one
    except ValueError as error:
        raise ConfigurationError(str(error)) from None


def as_duration(option: str, value: object) -> timedelta:
    """Return ``value`` (timedelta or seconds) as a duration above zero, or raise ConfigurationError."""
    return _duration(option, value, minimum=timedelta.resolution)


def as_duration_from_zero(option: str, value: object) -> timedelta:
    """Return ``value`` (timedelta or seconds) as a duration of zero or more, or raise ConfigurationError."""
    return _duration(option, value, minimum=timedelta(0))


def _duration(option: str, value: object, *, minimum: timedelta) -> timedelta:
    try:
        return read_duration(option, value, minimum=minimum)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None


def as_count(option: str, value: object) -> int:
    """Return ``value`` as a whole number of at least 1, or raise ConfigurationError."""
    if type(value) is int and value >= 1:
        return value
    raise ConfigurationError(f"{option}: expected a whole number of at least 1, got {value!r}")


def as_path(option: str, value: object) -> str:
    """Return ``value`` (text or Path) as the path of a file, or raise ConfigurationError."""
    if isinstance(value, (str, PurePath)) and str(value):
        return str(value)
    raise ConfigurationError(f"{option}: expected the path of a file, got {value!r}")


def as_text(option: str, value: object) -> str:
    """Return ``value`` if it is a text that is not empty, or raise ConfigurationError, without it: it may be secret."""
    if isinstance(value, str) and value:
        return value
    got = "an empty one" if value == "" else type(value).__name__
    raise ConfigurationError(f"{option}: expected a text, got {got}")


def as_host(option: str, value: object) -> str:
    """Return ``value`` as a host, with or without a port, or raise ConfigurationError."""
    if isinstance(value, str) and _HOST.fullmatch(value):
        return value
    raise ConfigurationError(f"{option}: expected a host such as 'host:8085', without a scheme; got {_cut(value)}")


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


def as_release(option: str, value: object) -> FindRelease | str | None:
    """Return ``value`` as the name of a release, a function that returns one or its dotted path, or None.

    "" is None: an environment variable that is not set. Raises ConfigurationError.
    """
    if value is None or value == "":
        return None
    return value if callable(value) else as_release_name(option, value)


def as_release_name(option: str, value: object) -> str:
    """Return ``value`` as the name of a release, or raise ConfigurationError."""
    if (
        isinstance(value, str)
        and 0 < len(value) <= MAX_RELEASE_LENGTH
        and value.isprintable()
        and value == value.strip()
    ):
        return str.__str__(value)
    raise ConfigurationError(
        f"{option}: expected the name of a release, 1 to {MAX_RELEASE_LENGTH} printable characters such as a Git SHA,"
        f" or a function that returns it; got {_cut(value)}"
    )


def as_dotted_path(option: str, value: object) -> str | None:
    """Return ``value`` if it is the dotted path of something in a module, or None, or raise ConfigurationError."""
    if value is None or is_dotted_path(value):
        return value
    raise ConfigurationError(f"{option}: expected a dotted path such as 'shop.setup.configure', or None; got {value!r}")


def as_dotted_paths(option: str, value: object) -> tuple[str, ...]:
    """Return ``value`` as a tuple of different dotted paths, or raise ConfigurationError."""
    if not isinstance(value, (list, tuple)):
        raise ConfigurationError(
            f"{option}: expected a list of dotted paths such as 'shop.hooks.Tenant'; got {value!r}"
        )
    for at, path in enumerate(value):
        if not is_dotted_path(path):
            text = f"{option}[{at}]: expected a dotted path such as 'shop.hooks.Tenant'; got {path!r}"
            raise ConfigurationError(text)
    if len(set(value)) < len(value):
        raise ConfigurationError(f"{option}: expected dotted paths, each once; got {value!r}")
    return tuple(value)


def as_mail_backend(option: str, value: object) -> str:
    """Return ``value`` as the dotted path of a backend that sends mails, or raise ConfigurationError."""
    if is_dotted_path(value) and not value.startswith("django_jobs."):
        return value
    raise ConfigurationError(
        f"{option}: expected the dotted path of a backend that sends, such as"
        f" 'django.core.mail.backends.smtp.EmailBackend', got {_cut(value)}"
    )


def is_dotted_path(value: object) -> TypeGuard[str]:
    """Tell whether ``value`` is names joined by dots, as of something in a module."""
    return isinstance(value, str) and "." in value and all(part.isidentifier() for part in value.split("."))


def as_start_method(option: str, value: object) -> str | None:
    """Return ``value`` as the way in which processes are started, or raise ConfigurationError."""
    if value is None or (isinstance(value, str) and value in START_METHODS):
        return value
    raise ConfigurationError(f"{option}: expected 'fork', 'spawn' or None, got {value!r}")


def as_base_url(option: str, value: object) -> str | None:
    """Return the scheme and host of a site without a slash at the end, or None, or raise ConfigurationError."""
    if value is None or (isinstance(value, str) and _BASE_URL.fullmatch(value)):
        return value and value.rstrip("/")
    expected = "a scheme and host such as 'https://shop.example', or None"
    raise ConfigurationError(f"{option}: expected {expected}; got {value!r}")


def as_bool(option: str, value: object) -> bool:
    """Return ``value`` if it is True or False, or raise ConfigurationError."""
    if isinstance(value, bool):
        return value
    raise ConfigurationError(f"{option}: expected True or False, got {value!r}")


def as_database_alias(option: str, value: object) -> str:
    """Return ``value`` as an alias of DATABASES, or raise ConfigurationError."""
    return _as_alias(option, value, known=django_settings.DATABASES, expected="an alias of DATABASES")


def as_database_aliases(option: str, value: object) -> tuple[str, ...]:
    """Return ``value`` as a tuple of different aliases of DATABASES, or raise ConfigurationError."""
    if not isinstance(value, (list, tuple)) or not value:
        raise ConfigurationError(f"{option}: expected a list of aliases of DATABASES, got {value!r}")
    aliases = [as_database_alias(f"{option}[{at}]", alias) for at, alias in enumerate(value)]
    if doubled := sorted({alias for alias in aliases if aliases.count(alias) > 1}):
        raise ConfigurationError(f"{option}: expected each alias once, got {', '.join(map(repr, doubled))} again")
    if odd := [alias for alias in aliases if not is_part_of_id(alias)]:
        raise ConfigurationError(
            f"{option}: expected aliases of A to Z, a to z, 0 to 9, '-' and '_', because ids of jobs begin with"
            f" them, got {odd[0]!r}"
        )
    return tuple(aliases)


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
