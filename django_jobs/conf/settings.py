"""Every setting, in groups: its type, default, reader and documentation in one place.

A dict under ``DJANGO_JOBS`` is a group here. Keys are the names of the fields in upper case; in ``JOB_DEFAULTS`` and
``QUEUES`` they are the options of ``@job`` as they are. docs/reference/settings.md is made from this file:
``python -m tests.docs.settings_page``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from ..exceptions import ConfigurationError
from ..policy.backoff import Backoff, Exponential
from ..policy.decide import DecisionSettings
from ..policy.states import State
from . import readers
from .fields import declarations, group, read_group, refuse_unknown_keys, setting
from .readers import AccessCheck, optional

SETTING = "DJANGO_JOBS"
MAX_LOG_CHARS = 1_000_000
"""Of one run: its log is one row, written again with each save."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDefaults:
    """Options of ``@job`` for jobs, and queues, that do not set them."""

    queue_name: str = setting("default", read=readers.as_queue_name, doc="the queue. Up to 100 characters, no comma")
    priority: int = setting(0, read=readers.as_priority, doc="-100 to 100; higher runs first")
    max_attempts: int = setting(5, read=readers.as_max_attempts, doc="attempts in all, the first included; 1 to 10,000")
    backoff: Backoff = setting(
        Exponential(),
        read=readers.as_job_backoff,
        doc="the delay before the next attempt",
        default_text="`Exponential()`",
    )
    timeout: timedelta | None = setting(
        None, read=readers.as_timeout, doc="how long an attempt may take; `None`: no limit"
    )


JOB_OPTION_READERS = MappingProxyType(
    {name: declaration.read for name, declaration in declarations(JobDefaults).items()}
)
QUEUE_KEYS = tuple(name for name in JOB_OPTION_READERS if name != "queue_name")


@dataclass(frozen=True, slots=True, kw_only=True)
class EnqueueSettings:
    """Limits of what ``enqueue`` accepts."""

    max_payload_bytes: int = setting(
        1_000_000,
        read=readers.as_count,
        doc="larger arguments or metadata are refused with `PayloadTooLargeError`",
    )
    idempotency_window: timedelta = setting(
        timedelta(days=1),
        read=readers.as_positive_duration,
        doc="how long an `idempotency_key` returns the first job, unless the enqueue sets a window",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """How workers poll, claim, stop, and rescue the jobs of lost workers."""

    heartbeat_interval: timedelta = setting(
        timedelta(seconds=5), read=readers.as_positive_duration, doc="how often a worker saves its heartbeat"
    )
    stale_after: timedelta = setting(
        timedelta(seconds=15),
        read=readers.as_positive_duration,
        doc="a worker without a heartbeat for this long is lost and its jobs are rescued; at least twice"
        " `HEARTBEAT_INTERVAL`",
    )
    notify: bool = setting(
        True,
        read=readers.as_bool,
        doc="wake idle workers by NOTIFY (PostgreSQL); set to `False` behind a pooler in transaction mode",
    )
    poll_interval: timedelta = setting(
        timedelta(seconds=1),
        read=readers.as_positive_duration,
        doc="how often an idle worker checks for jobs when it is also woken by NOTIFY",
    )
    poll_interval_without_notify: timedelta = setting(
        timedelta(seconds=0.2),
        read=readers.as_positive_duration,
        doc="how often it checks when nothing wakes it: on MySQL and MariaDB, or with `NOTIFY` off",
    )
    claim_batch_size: int = setting(
        500, read=readers.as_count, doc="the most claimed jobs that wait in a worker to be started"
    )
    prefetch_horizon: timedelta = setting(
        timedelta(seconds=0.25),
        read=readers.as_positive_duration,
        doc="how much work, in time, a worker claims ahead",
    )
    async_concurrency: int = setting(
        100, read=readers.as_count, doc="how many `async def` jobs run at once in a process"
    )
    shutdown_grace: timedelta = setting(
        timedelta(seconds=30),
        read=readers.as_duration_from_zero,
        doc="how long a stopping worker lets running jobs finish before it releases them",
    )
    timeout_grace: timedelta = setting(
        timedelta(seconds=10),
        read=readers.as_duration_from_zero,
        doc="how long a job may run on after its `JobTimeoutError` before its process is replaced",
    )
    max_worker_deaths: int = setting(
        3,
        read=readers.as_count,
        doc="a job that was running when this many workers died is quarantined as a dead letter",
    )
    unknown_job_retry_delay: timedelta = setting(
        timedelta(seconds=60),
        read=readers.as_positive_duration,
        doc="how long a job waits after a worker claimed it that does not know its name",
    )
    unknown_job_ttl: timedelta = setting(
        timedelta(days=1),
        read=readers.as_positive_duration,
        doc="a job that no worker knows becomes a dead letter after this long",
    )
    batch_abandoned_after: timedelta = setting(
        timedelta(hours=1),
        read=readers.as_positive_duration,
        doc="a batch that is not closed and to which nothing was added for this long is closed as failed",
    )

    process_setup: str | None = setting(
        None,
        read=readers.as_dotted_path,
        doc="a function without arguments, by its dotted path, that each worker process calls before `django.setup()`,"
        " if `manage.py` does more than name the settings; django-configurations needs none",
    )

    def __post_init__(self) -> None:
        if self.stale_after < 2 * self.heartbeat_interval:
            raise ConfigurationError(
                f"{SETTING}['WORKER']['STALE_AFTER']: expected at least twice HEARTBEAT_INTERVAL"
                f" ({self.heartbeat_interval}), got {self.stale_after}; one late heartbeat would cost a worker its"
                " claims"
            )

    @property
    def rules(self) -> DecisionSettings:
        """The part that decisions depend on."""
        return DecisionSettings(
            unknown_retry_delay=self.unknown_job_retry_delay,
            unknown_ttl=self.unknown_job_ttl,
            max_worker_deaths=self.max_worker_deaths,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionSettings:
    """How long finished jobs and other records are kept; ``None``: for ever."""

    succeeded: timedelta | None = setting(
        timedelta(days=7), read=optional(readers.as_positive_duration), doc="jobs that have succeeded"
    )
    cancelled: timedelta | None = setting(
        timedelta(days=7), read=optional(readers.as_positive_duration), doc="jobs that were cancelled"
    )
    dead: timedelta | None = setting(
        timedelta(days=90),
        read=optional(readers.as_positive_duration),
        doc="jobs that have failed for good",
    )
    ticks: timedelta | None = setting(
        timedelta(days=30),
        read=optional(readers.as_positive_duration),
        doc="the records of what schedules enqueued",
    )
    once: timedelta | None = setting(
        timedelta(days=90), read=optional(readers.as_positive_duration), doc="the records of `once`"
    )

    @property
    def by_state(self) -> Mapping[State, timedelta | None]:
        """The retention of jobs by their final state."""
        return {State.SUCCEEDED: self.succeeded, State.CANCELLED: self.cancelled, State.DEAD: self.dead}


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultSettings:
    """How large results may be, where large ones go, and how long they are kept."""

    max_bytes: int = setting(
        1_000_000,
        read=readers.as_count,
        doc="a larger result goes to `STORAGE`; without one it is lost (`job.is_result_lost`), and the job has"
        " succeeded all the same",
    )
    storage: str | None = setting(
        None,
        read=readers.as_storage_alias,
        doc="alias in `STORAGES` for larger results: see [results](../how-to/results.md)",
    )
    ttl: timedelta | None = setting(
        None,
        read=readers.as_span,
        doc="how long a result is kept, unless `@job(result_ttl=...)` sets it; `None`: as long as its job",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """How much of the log of an attempt is kept. ``MAX_LINES`` times ``MAX_LINE_LENGTH`` is at most 1,000,000."""

    max_lines: int = setting(
        200,
        read=readers.whole_number(min_value=0, max_value=10_000),
        doc="lines kept of an attempt, the first half and the last; at most 10,000, `0`: none",
    )
    max_line_length: int = setting(
        2_000,
        read=readers.whole_number(min_value=100, max_value=100_000),
        doc="characters kept of a line, from its start and its end; 100 to 100,000",
    )

    def __post_init__(self) -> None:
        if (chars := self.max_lines * self.max_line_length) > MAX_LOG_CHARS:
            raise ConfigurationError(
                f"{SETTING}['LOGS']['MAX_LINES']: expected at most {MAX_LOG_CHARS}, times MAX_LINE_LENGTH, got {chars}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusSettings:
    """Status pages over HTTP: who may see a job, and how long clients wait. See [HTTP](web.md)."""

    access_check: AccessCheck | str | None = setting(
        None,
        read=readers.as_access_check,
        doc="a function of `(request, job)`, or its dotted path: who may see a job and its result without a signed"
        " address, besides users with `django_jobs.view_job`",
    )
    url_max_age: timedelta | None = setting(
        None,
        read=optional(readers.as_positive_duration),
        doc="how long a signed address is valid; `None`: as long as the job exists",
    )
    max_wait: timedelta = setting(
        timedelta(seconds=30),
        read=readers.as_duration_from_zero,
        doc="the longest `?wait=`; shorter than the time limits of your web server and proxy",
    )
    poll_interval: timedelta = setting(
        timedelta(seconds=0.5),
        read=readers.as_positive_duration,
        doc="how often a web process checks for changes on behalf of all clients that wait in it: one statement,"
        " none while nobody waits",
    )
    max_waiters: int = setting(
        1_000,
        read=readers.as_count_from_zero,
        doc="how many clients may wait in one ASGI process; above that long polls are answered at once and event"
        " streams with 503",
    )
    max_waiters_wsgi: int = setting(
        4,
        read=readers.as_count_from_zero,
        doc="the same in one WSGI process, in which each waiting client holds a thread: well below its number of"
        " threads, `0` if it has one",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertSettings:
    """Mail to ``ADMINS`` about new dead letters."""

    mail_admins: bool = setting(
        False,
        read=readers.as_bool,
        doc="mail `ADMINS` about new dead letters, once per error and period",
    )
    mail_admins_period: timedelta = setting(timedelta(days=1), read=readers.as_positive_duration, doc="that period")


def _read_queues(option: str, value: object) -> Mapping[str, Mapping[str, Any]]:
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{option}: expected a dict of queue names, got {value!r}")
    return MappingProxyType(
        {
            readers.as_queue_name(option, name): _read_queue(f"{option}[{name!r}]", options)
            for name, options in value.items()
        }
    )


def _read_queue(option: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{option}: expected a dict, got {value!r}")
    refuse_unknown_keys(option, value, QUEUE_KEYS)
    return MappingProxyType({key: JOB_OPTION_READERS[key](f"{option}[{key!r}]", given) for key, given in value.items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings, checked."""

    database: str = setting(
        "default",
        read=readers.as_database_alias,
        doc="alias of the database that holds the jobs; routers are not asked",
    )
    project: tuple[str, ...] = setting(
        (),
        read=readers.as_project,
        doc="the name of this project. Projects that share a database change only their own"
        " [schedules](schedules.md#code-and-rows), so their names must differ. After a rename a tuple: the"
        " new name, then the earlier ones",
        default_text="the first part of Django's `ROOT_URLCONF`, or of the settings module",
    )
    job_defaults: JobDefaults = group(JobDefaults, spell=str)
    queues: Mapping[str, Mapping[str, Any]] = setting(
        MappingProxyType({}),
        read=_read_queues,
        doc="the same for one queue, by its name: `priority`, `max_attempts`, `backoff`, `timeout`. A queue's value"
        " overrides `JOB_DEFAULTS`, the job's own overrides both",
        default_text="`{}`",
    )
    enqueue: EnqueueSettings = group(EnqueueSettings)
    worker: WorkerSettings = group(WorkerSettings)
    retention: RetentionSettings = group(RetentionSettings)
    results: ResultSettings = group(ResultSettings)
    logs: LogSettings = group(LogSettings)
    status: StatusSettings = group(StatusSettings)
    alerts: AlertSettings = group(AlertSettings)
    redact: tuple[str, ...] = setting(
        ("password", "passwd", "secret", "token", "api_key", "apikey", "authorization", "cookie"),
        read=readers.as_names,
        doc="arguments, metadata and results whose name has one of these parts, at any depth, are masked in the admin"
        ' and in `manage.py jobs`; `@job(redact=("card",))` adds whole names',
    )
    schedulable: tuple[str, ...] = setting(
        (),
        read=readers.as_names,
        doc="names of jobs for which staff may write schedules, besides those with `@job(schedulable=True)`",
    )


def read_settings(given: object) -> Settings:
    """Check ``given``, the dict of the setting, and return it as Settings, or raise ConfigurationError."""
    return read_group(Settings, SETTING, given)
