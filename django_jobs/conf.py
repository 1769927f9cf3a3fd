"""The ``DJANGO_JOBS`` setting: one dict, everything optional, read once into a frozen, checked object.

Durations are given as timedeltas or seconds. An unknown key is refused with the list of the known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Any

from django.conf import settings as django_settings
from django.core.signals import setting_changed

from .exceptions import ConfigurationError
from .policy.backoff import MAX_WAIT, Backoff, Exponential, as_backoff
from .policy.decide import DecisionSettings
from .policy.states import State

SETTING = "DJANGO_JOBS"
MAX_NAME_LENGTH = 200
MAX_QUEUE_NAME_LENGTH = 100
MIN_PRIORITY, MAX_PRIORITY = -100, 100
MAX_ATTEMPTS_BOUND = 10_000
MAX_LOG_LETTERS = 1_000_000
MAX_ALIAS_LENGTH = 100
"""Of RESULT_STORAGE: it is stored beside each result that it keeps."""

MaySee = Callable[[Any, Any], bool]
"""``(request, job) -> bool``: may whoever sent the request see the job and its result, without a signed address?"""

JOB_DEFAULT_KEYS = ("queue_name", "priority", "max_attempts", "backoff", "timeout")
QUEUE_KEYS = ("priority", "max_attempts", "backoff", "timeout")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDefaults:
    """What ``@job`` takes where neither it nor its queue says otherwise."""

    queue_name: str = "default"
    priority: int = 0
    max_attempts: int = 5
    backoff: Backoff = field(default_factory=Exponential)
    timeout: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings, checked. Attribute names are the keys of ``DJANGO_JOBS`` in lower case."""

    database: str = "default"
    job_defaults: JobDefaults = field(default_factory=JobDefaults)
    queues: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: MappingProxyType({}))
    retention: Mapping[State, timedelta | None] = field(
        default_factory=lambda: MappingProxyType(
            {
                State.SUCCEEDED: timedelta(days=7),
                State.CANCELLED: timedelta(days=7),
                State.DEAD: timedelta(days=90),
            }
        )
    )
    idempotency_window: timedelta = timedelta(days=1)
    once_retention: timedelta | None = timedelta(days=90)
    max_payload_bytes: int = 1_000_000
    max_result_bytes: int = 1_000_000
    result_ttl: timedelta | None = None
    result_storage: str | None = None
    max_log_lines: int = 200
    max_log_line_length: int = 2_000
    heartbeat_interval: timedelta = timedelta(seconds=5)
    stale_after: timedelta = timedelta(seconds=15)
    poll_interval: timedelta = timedelta(seconds=1)
    poll_interval_unrung: timedelta = timedelta(seconds=0.2)
    shutdown_grace: timedelta = timedelta(seconds=30)
    hang_grace: timedelta = timedelta(seconds=10)
    prefetch_horizon: timedelta = timedelta(seconds=0.25)
    claim_batch: int = 500
    async_concurrency: int = 100
    unknown_job_delay: timedelta = timedelta(seconds=60)
    unknown_job_ttl: timedelta = timedelta(days=1)
    max_worker_deaths: int = 3
    schedulable: tuple[str, ...] = ()
    tick_retention: timedelta | None = timedelta(days=30)
    batch_abandoned_after: timedelta = timedelta(hours=1)
    mail_admins: bool = False
    mail_admins_period: timedelta = timedelta(days=1)
    ring: bool = True
    status_max_age: timedelta | None = None
    status_max_wait: timedelta = timedelta(seconds=30)
    status_poll_interval: timedelta = timedelta(seconds=0.5)
    status_waiting: int = 1_000
    status_waiting_wsgi: int = 4
    status_may_see: MaySee | str | None = None
    redact: tuple[str, ...] = (
        "password",
        "passwd",
        "secret",
        "token",
        "api_key",
        "apikey",
        "authorization",
        "cookie",
    )

    @property
    def rules(self) -> DecisionSettings:
        """What decisions need of the settings."""
        return DecisionSettings(
            unknown_retry_delay=self.unknown_job_delay,
            unknown_ttl=self.unknown_job_ttl,
            max_worker_deaths=self.max_worker_deaths,
        )


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
    """Return ``value`` as a number of tries, the first included, or raise ConfigurationError."""
    if type(value) is int and 1 <= value <= MAX_ATTEMPTS_BOUND:
        return value
    raise ConfigurationError(
        f"{option}: expected a whole number from 1 to {MAX_ATTEMPTS_BOUND} (the first try included), got {value!r}"
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


JOB_OPTION_CHECKS: Mapping[str, Callable[[str, object], Any]] = MappingProxyType(
    {
        "queue_name": as_queue_name,
        "priority": as_priority,
        "max_attempts": as_max_attempts,
        "backoff": as_job_backoff,
        "timeout": as_timeout,
    }
)


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """Return the checked settings of this process. Raises ConfigurationError where they are wrong."""
    return read_settings(getattr(django_settings, SETTING, {}))


def read_settings(given: object) -> Settings:
    """Check ``given`` (the dict of the setting) and return it as Settings, or raise ConfigurationError."""
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"{SETTING}: expected a dict, got {given!r}")
    known = {one.name.upper(): one.name for one in fields(Settings)}
    _refuse_unknown(SETTING, given, known)
    values = {known[key]: _READERS[known[key]](f"{SETTING}[{key!r}]", value) for key, value in given.items()}
    settings = Settings(**values)
    if settings.stale_after < 2 * settings.heartbeat_interval:
        raise ConfigurationError(
            f"{SETTING}['STALE_AFTER']: expected at least twice HEARTBEAT_INTERVAL"
            f" ({settings.heartbeat_interval}), got {settings.stale_after}; one late heartbeat would cost a"
            " worker its claims"
        )
    if (letters := settings.max_log_lines * settings.max_log_line_length) > MAX_LOG_LETTERS:
        raise ConfigurationError(
            f"{SETTING}['MAX_LOG_LINES']: expected at most {MAX_LOG_LETTERS}, times MAX_LOG_LINE_LENGTH, got {letters}"
        )
    if settings.database not in django_settings.DATABASES:
        raise ConfigurationError(
            f"{SETTING}['DATABASE']: expected an alias of DATABASES"
            f" ({', '.join(sorted(django_settings.DATABASES))}), got {settings.database!r}"
        )
    if len(settings.result_storage or "") > MAX_ALIAS_LENGTH:
        raise ConfigurationError(
            f"{SETTING}['RESULT_STORAGE']: expected an alias of up to {MAX_ALIAS_LENGTH} characters, got"
            f" {settings.result_storage!r}"
        )
    if settings.result_storage is not None and settings.result_storage not in django_settings.STORAGES:
        raise ConfigurationError(
            f"{SETTING}['RESULT_STORAGE']: expected an alias of STORAGES"
            f" ({', '.join(sorted(django_settings.STORAGES))}) or None, got {settings.result_storage!r}"
        )
    return settings


def _refuse_unknown(where: str, given: Mapping[Any, Any], known: Any) -> None:
    unknown = [key for key in given if key not in known]
    if unknown:
        raise ConfigurationError(
            f"{where}: unknown key {', '.join(map(repr, unknown))}; known are {', '.join(sorted(known))}"
        )


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


def _positive(option: str, value: object) -> timedelta:
    duration = as_duration(option, value)
    if duration <= timedelta(0):
        raise ConfigurationError(f"{option}: expected a positive duration, got {value!r}")
    return duration


def _not_negative(option: str, value: object) -> timedelta:
    duration = as_duration(option, value)
    if duration < timedelta(0):
        raise ConfigurationError(f"{option}: expected a duration of zero or more, got {value!r}")
    return duration


def _count(option: str, value: object) -> int:
    if type(value) is int and value >= 1:
        return value
    raise ConfigurationError(f"{option}: expected a whole number of at least 1, got {value!r}")


def _count_or_none(option: str, value: object) -> int:
    if type(value) is int and value >= 0:
        return value
    raise ConfigurationError(f"{option}: expected a whole number of zero or more, got {value!r}")


def _within(option: str, value: object, *, least: int, most: int) -> int:
    if type(value) is int and least <= value <= most:
        return value
    raise ConfigurationError(f"{option}: expected a whole number from {least} to {most}, got {value!r}")


def _may_see(option: str, value: object) -> MaySee | str | None:
    if value is None or callable(value) or (isinstance(value, str) and "." in value):
        return value
    raise ConfigurationError(
        f"{option}: expected a function of (request, job), its dotted path, or None; got {value!r}"
    )


def _flag(option: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise ConfigurationError(f"{option}: expected True or False, got {value!r}")


def _text(option: str, value: object) -> str:
    if isinstance(value, str) and value:
        return value
    raise ConfigurationError(f"{option}: expected a name, got {value!r}")


def _period(option: str, value: object) -> timedelta | None:
    return None if value is None else _positive(option, value)


def _text_or_none(option: str, value: object) -> str | None:
    return None if value is None else _text(option, value)


def _name_parts(option: str, value: object) -> tuple[str, ...]:
    if isinstance(value, (list, tuple, set, frozenset)) and all(
        isinstance(one, str) and one for one in value
    ):
        return tuple(value)
    raise ConfigurationError(f"{option}: expected a tuple of names, got {value!r}")


def _options(option: str, value: object, known: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{option}: expected a dict, got {value!r}")
    _refuse_unknown(option, value, known)
    return {key: JOB_OPTION_CHECKS[key](f"{option}[{key!r}]", one) for key, one in value.items()}


def _job_defaults(option: str, value: object) -> JobDefaults:
    return JobDefaults(**_options(option, value, JOB_DEFAULT_KEYS))


def _queues(option: str, value: object) -> Mapping[str, Mapping[str, Any]]:
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{option}: expected a dict of queue names, got {value!r}")
    return MappingProxyType(
        {
            as_queue_name(option, name): MappingProxyType(_options(f"{option}[{name!r}]", one, QUEUE_KEYS))
            for name, one in value.items()
        }
    )


def _retention(option: str, value: object) -> Mapping[State, timedelta | None]:
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{option}: expected a dict from state to duration, got {value!r}")
    periods = dict(Settings().retention)
    _refuse_unknown(option, value, tuple(str(state) for state in periods))
    for state, period in value.items():
        periods[State(state)] = None if period is None else _positive(f"{option}[{state!r}]", period)
    return MappingProxyType(periods)


_READERS: dict[str, Callable[[str, object], Any]] = {
    "database": _text,
    "job_defaults": _job_defaults,
    "queues": _queues,
    "retention": _retention,
    "idempotency_window": _positive,
    "once_retention": _period,
    "max_payload_bytes": _count,
    "max_result_bytes": _count,
    "result_ttl": as_span,
    "result_storage": _text_or_none,
    "max_log_lines": partial(_within, least=0, most=10_000),
    "max_log_line_length": partial(_within, least=100, most=100_000),
    "heartbeat_interval": _positive,
    "stale_after": _positive,
    "poll_interval": _positive,
    "poll_interval_unrung": _positive,
    "shutdown_grace": _not_negative,
    "hang_grace": _not_negative,
    "prefetch_horizon": _positive,
    "claim_batch": _count,
    "async_concurrency": _count,
    "unknown_job_delay": _positive,
    "unknown_job_ttl": _positive,
    "max_worker_deaths": _count,
    "schedulable": _name_parts,
    "tick_retention": _period,
    "batch_abandoned_after": _positive,
    "mail_admins": _flag,
    "mail_admins_period": _positive,
    "ring": _flag,
    "status_max_age": _period,
    "status_max_wait": _not_negative,
    "status_poll_interval": _positive,
    "status_waiting": _count_or_none,
    "status_waiting_wsgi": _count_or_none,
    "status_may_see": _may_see,
    "redact": _name_parts,
}


def _cut(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "..."


def _forget_settings(*, setting: str, **_: object) -> None:
    if setting in {SETTING, "DATABASES", "STORAGES"}:
        get_settings.cache_clear()


setting_changed.connect(_forget_settings, dispatch_uid="django_jobs.conf")
