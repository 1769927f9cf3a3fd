"""System checks: settings, databases, schedules and commands that break or weaken the engine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.management import get_commands

from .brokers.subscriptions import find_problems as find_consume_problems
from .conf import SETTING, get_settings, is_like_setting, project_names
from .conf.database import find_chooser
from .exceptions import ConfigurationError, SettingsError
from .functions.discovery import list_undiscovered
from .hooks import load_hooks
from .policy.doctor import UnsafeSetting
from .store.dialects import is_supported, open_dialect
from .store.redis_channels import open_client


@register(Tags.compatibility)
def check_settings(**_: Any) -> list[CheckMessage]:
    """Check the setting, the clock and the database: E001 to E004."""
    try:
        settings = get_settings()
    except ConfigurationError as error:
        problems = error.problems if isinstance(error, SettingsError) else [str(error)]
        return [Error(problem, hint="See docs/reference/settings.md.", id="django_jobs.E001") for problem in problems]
    messages: list[CheckMessage] = []
    if not django_settings.USE_TZ:
        messages.append(
            Error(
                "django_jobs needs USE_TZ = True.",
                hint="Jobs are due at times of the database's clock, which is read in UTC.",
                id="django_jobs.E002",
            )
        )
    for alias in settings.aliases:
        messages += _check_database(alias, setting="DATABASES" if settings.databases else "DATABASE")
    return messages


def _jobs_databases() -> tuple[str, ...]:
    """Return the aliases of the jobs' databases; none if the settings are wrong, which E001 says."""
    try:
        return get_settings().aliases
    except ConfigurationError:
        return ()


@register(Tags.compatibility)
def check_databases(**_: Any) -> list[CheckMessage]:
    """Check that the settings DATABASES and CHOOSE_DATABASE can be used together with the project: E009."""
    if not (aliases := _jobs_databases()) or not get_settings().databases:
        return []
    problems = [*_find_doubled(aliases), *_find_unmigratable(aliases)]
    if (path := get_settings().choose_database) is not None:
        try:
            find_chooser(path)
        except ConfigurationError as error:
            problems.append(str(error))
    return [Error(problem, hint="See docs/how-to/many-databases.md.", id="django_jobs.E009") for problem in problems]


def _find_doubled(aliases: tuple[str, ...]) -> Iterator[str]:
    """Yield what is wrong with aliases of one database: two workers would take each other's claims for lost."""
    from django.db import connections

    known: dict[tuple[object, ...], str] = {}
    for alias in aliases:
        options = connections[alias].settings_dict
        place = tuple(str(options.get(key) or "") for key in ("ENGINE", "HOST", "PORT", "NAME"))
        if (other := known.setdefault(place, alias)) != alias:
            yield f"{SETTING}['DATABASES']: expected different databases, got one as {other!r} and as {alias!r}."


def _find_unmigratable(aliases: tuple[str, ...]) -> Iterator[str]:
    """Yield the databases in which a router keeps ``migrate`` from making the tables."""
    from django.db import router

    from .models import Job

    for alias in aliases:
        if not router.allow_migrate_model(alias, Job):
            yield (
                f"{SETTING}['DATABASES']: {alias!r} takes no tables of django_jobs: allow_migrate of a router in"
                " DATABASE_ROUTERS returns False; return True, or None, for the app 'django_jobs' there."
            )


@register(Tags.compatibility)
def check_hooks(**_: Any) -> list[CheckMessage]:
    """Check that the classes of the setting HOOKS can be used: E005."""
    if not _jobs_databases():
        return []
    try:
        load_hooks()
    except ConfigurationError as error:
        return [Error(str(error), hint="See docs/how-to/hooks.md.", id="django_jobs.E005")]
    return []


@register(Tags.compatibility)
def check_notifier(**_: Any) -> list[CheckMessage]:
    """Check that the client of the setting NOTIFIER is installed, and takes its URL: E007."""
    if not _jobs_databases() or (url := get_settings().notifier) is None:
        return []
    try:
        open_client(url).close()
    except ConfigurationError as error:
        return [Error(str(error), hint="See docs/operations.md.", id="django_jobs.E007")]
    return []


@register(Tags.compatibility)
def check_consumers(**_: Any) -> list[CheckMessage]:
    """Check every ``@consumes`` against the setting BROKERS, without a network: E006."""
    if not _jobs_databases():
        return []
    return [
        Error(problem, hint="See docs/how-to/consume.md.", id="django_jobs.E006") for problem in find_consume_problems()
    ]


def _check_database(alias: str, *, setting: str) -> list[CheckMessage]:
    from django.db import connections

    messages: list[CheckMessage] = []
    connection = connections[alias]
    database = connection.settings_dict
    if not is_supported(connection):
        messages.append(
            Error(
                f"{SETTING}[{setting!r}] {alias!r} is a {connection.display_name} database.",
                hint="Use PostgreSQL, MySQL, MariaDB or SQLite.",
                id="django_jobs.E003",
            )
        )
    if database.get("TIME_ZONE"):
        messages.append(
            Error(
                f"DATABASES[{alias!r}]['TIME_ZONE'] is set; django_jobs reads and writes UTC.",
                hint="Remove it, or give the jobs a database of their own.",
                id="django_jobs.E004",
            )
        )
    return messages


@register(Tags.compatibility)
def check_setting_name(**_: Any) -> list[CheckMessage]:
    """Check that no setting has a name that looks like DJANGO_JOBS, and is not read: W005."""
    return [
        Warning(
            f"The setting {name} is not read.",
            hint=f"The settings of django_jobs are the keys of one dict, {SETTING}; see docs/reference/settings.md.",
            id="django_jobs.W005",
        )
        for name in dir(django_settings)
        if name.isupper() and name != SETTING and is_like_setting(name)
    ]


@register(Tags.compatibility)
def check_admins(**_: Any) -> list[CheckMessage]:
    """Check that somebody is mailed if ALERTS["MAIL_ADMINS"] is on: W007."""
    if not _jobs_databases() or not get_settings().alerts.mail_admins or django_settings.ADMINS:
        return []
    return [
        Warning(
            "DJANGO_JOBS['ALERTS']['MAIL_ADMINS'] is True, and nobody is mailed: the setting ADMINS is empty.",
            hint="Name somebody in ADMINS, or set MAIL_ADMINS to False.",
            id="django_jobs.W007",
        )
    ]


@register(Tags.compatibility)
def check_options(**_: Any) -> list[CheckMessage]:
    """Check the options of the jobs' database, without a connection: W004."""
    warnings: list[CheckMessage] = []
    for alias in _jobs_databases():
        try:
            dialect, connection = open_dialect(alias)
        except ConfigurationError:
            continue  # E003 says so
        for setting in dialect.server.unsafe_options(connection):
            what, advice = setting.value
            text = f"DATABASES[{alias!r}]: {what}."
            warnings.append(Warning(text, hint=advice, id="django_jobs.W004"))
    return warnings


@register(Tags.database)
def check_schedules(*, databases: Any = None, **_: Any) -> list[CheckMessage]:
    """Check the schedules that this project's staff wrote: W002. Those from code are checked when they are defined."""
    from django.db import Error as DatabaseError

    from .models import CronSchedule
    from .schedules import find_problem

    if not _jobs_databases() or (alias := get_settings().database_of_schedules) not in (databases or ()):
        return []
    try:
        of_staff = CronSchedule.objects.using(alias).filter(is_from_code=False, disabled_at__isnull=True)
        rows = list(of_staff.filter(project__in=project_names()).order_by("name"))
    except DatabaseError:
        return []  # the tables are not there yet
    return [
        Warning(
            f"Schedule {row.name!r} cannot fire: {problem}",
            hint="Correct or delete it in the admin; a worker checks it again when it starts.",
            id="django_jobs.W002",
        )
        for row in rows
        if (problem := find_problem(row))
    ]


@register(Tags.database)
def check_text(*, databases: Any = None, **_: Any) -> list[CheckMessage]:
    """Check that the tables take every character: W003."""
    from django.db import Error as DatabaseError

    what, advice = UnsafeSetting.NARROW_TEXT.value
    text, warnings = f"{what[0].upper()}{what[1:]}.", list[CheckMessage]()
    for alias in [alias for alias in _jobs_databases() if alias in (databases or ())]:
        try:
            dialect, connection = open_dialect(alias)
            if dialect.server.takes_all_text(connection):
                continue
        except (ConfigurationError, DatabaseError):
            continue  # E003 says so, or the server is not there
        place = f"DATABASES[{alias!r}]: " if len(_jobs_databases()) > 1 else ""
        warnings.append(Warning(f"{place}{text}", hint=advice, id="django_jobs.W003"))
    return warnings


@register(Tags.compatibility)
def check_discovery(**_: Any) -> list[CheckMessage]:
    """Check that workers will know every job that this process has defined so far: W006."""
    return [
        Warning(
            f"Job {name!r} is unknown to workers: {place} is not imported by django.setup().",
            hint="Move it to the jobs.py of an installed app, or import its module there.",
            id="django_jobs.W006",
        )
        for name, place in sorted(list_undiscovered().items())
    ]


@register(Tags.compatibility)
def check_runworker(**_: Any) -> list[CheckMessage]:
    """Check that no other app's ``runworker`` hides ours: W001."""
    owner = get_commands().get("runworker")
    name = owner if isinstance(owner, str) else getattr(owner, "name", "")
    if apps.is_installed("django_jobs") and name != "django_jobs":
        return [
            Warning(
                f"manage.py runworker is the command of {name!r}, not of django_jobs.",
                hint="Put 'django_jobs' before it in INSTALLED_APPS, or start workers by 'manage.py jobs work'.",
                id="django_jobs.W001",
            )
        ]
    return []
