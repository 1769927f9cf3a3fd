"""All settings, in groups: the type, default, reader and documentation of each in one place.

A dict under ``DJANGO_JOBS`` is a group here. Keys are the names of the fields in upper case; in ``JOB_DEFAULTS`` and
``QUEUES`` they are the options of ``@job`` as they are. docs/reference/settings.md is made from the declarations:
``python -m tests.docs``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from ..exceptions import ConfigurationError
from ..policy.broker_url import BrokerURL
from . import readers
from .brokers import BrokerSettings, as_brokers
from .fields import SETTING, group, read_group, setting
from .job_defaults import EnqueueSettings, JobDefaults, read_queues
from .kept_settings import LogSettings, ResultSettings, RetentionSettings
from .notifier import as_notifier
from .page_settings import AlertSettings, MailSettings, MetricsSettings, StatusSettings
from .readers import FindRelease, optional
from .worker_settings import WorkerSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings, checked."""

    database: str = setting(
        "default",
        read=readers.as_database_alias,
        doc="alias of the database that holds the jobs; routers are not asked",
    )
    databases: tuple[str, ...] = setting(
        (),
        read=readers.as_database_aliases,
        doc="instead of `DATABASE`, aliases of several databases that hold jobs: see"
        " [many databases](../how-to/many-databases.md)",
        default_text="`DATABASE` alone",
    )
    choose_database: str | None = setting(
        None,
        read=readers.as_dotted_path,
        doc="a function of `(name, arguments)`, by its dotted path, that returns the alias of the database for a new"
        " job, or `None` to leave the choice; with `DATABASES` only",
    )
    schedules_database: str | None = setting(
        None,
        read=optional(readers.as_database_alias),
        doc="the one of `DATABASES` in which schedules are kept and fire; `None`: the first",
    )
    project: tuple[str, ...] = setting(
        (),
        read=readers.as_project,
        doc="the name of this project. Projects that share a database change only their own"
        " [schedules](schedules.md#code-and-rows), so their names must differ. After a rename a tuple: the"
        " new name, then the earlier ones",
        default_text="the first part of Django's `ROOT_URLCONF`, or of the settings module",
    )
    release: FindRelease | str | None = setting(
        None,
        read=readers.as_release,
        doc="the release that workers report, such as a Git SHA, of up to 100 characters; or a function without"
        " arguments that returns it, or the dotted path of one; `None` or empty: not known. See"
        " [deploys](../how-to/deploys.md)",
    )
    notifier: BrokerURL | None = setting(
        None,
        read=as_notifier,
        doc="a Redis that wakes idle workers where LISTEN cannot: on MySQL and MariaDB, and behind PgBouncer in"
        ' transaction mode; `"redis://user:password@host:6379"`, or `rediss://`. It needs the extra `[redis]`. See'
        " [operations](../operations.md#wake-up-by-redis)",
    )
    job_defaults: JobDefaults = group(JobDefaults, spell=str)
    queues: Mapping[str, Mapping[str, Any]] = setting(
        MappingProxyType({}),
        read=read_queues,
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
    mail: MailSettings = group(MailSettings)
    metrics: MetricsSettings = group(MetricsSettings)
    brokers: Mapping[str, BrokerSettings] = setting(
        MappingProxyType({}),
        read=as_brokers,
        doc='message brokers by name: `{"events": {"url": "kafka://host:9092", "options": {}}}`. See'
        " [messages](../how-to/messages.md)",
        default_text="`{}`",
    )
    hooks: tuple[str, ...] = setting(
        (),
        read=readers.as_dotted_paths,
        doc="classes around every enqueue and every run, by their dotted paths, the outermost first: see"
        " [hooks](../how-to/hooks.md)",
        default_text="`()`",
    )
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

    def __post_init__(self) -> None:
        if self.databases:
            object.__setattr__(self, "database", self.databases[0])
        elif self.choose_database is not None:
            raise ConfigurationError(f"{SETTING}['CHOOSE_DATABASE']: expected DATABASES beside it, to choose from")
        if self.schedules_database is not None and self.schedules_database not in self.aliases:
            raise ConfigurationError(
                f"{SETTING}['SCHEDULES_DATABASE']: expected one of DATABASES ({', '.join(self.aliases)}), got"
                f" {self.schedules_database!r}"
            )

    @property
    def aliases(self) -> tuple[str, ...]:
        """The aliases of all databases that hold jobs."""
        return self.databases or (self.database,)

    @property
    def has_many_databases(self) -> bool:
        """True if jobs are in more than one database."""
        return len(self.databases) > 1

    @property
    def database_of_schedules(self) -> str:
        """The alias of the database in which schedules are."""
        return self.schedules_database or self.database

    def for_database(self, alias: str) -> Settings:
        """Return these settings as those of a worker, or a page, of one of the databases."""
        if alias == self.database and not self.databases:
            return self
        return replace(self, database=alias, databases=(), choose_database=None, schedules_database=None)


def read_settings(given: object) -> Settings:
    """Check ``given``, the dict of the setting, and return it as Settings, or raise ConfigurationError."""
    if isinstance(given, Mapping) and {"DATABASE", "DATABASES"} <= given.keys():
        raise ConfigurationError(f"{SETTING}: expected DATABASE, or DATABASES if jobs are in several, got both")
    return read_group(Settings, SETTING, given)
