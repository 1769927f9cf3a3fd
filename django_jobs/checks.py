"""System checks: settings, databases, schedules and commands that break or weaken the engine."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.management import get_commands

from .conf import get_settings, project_names
from .exceptions import ConfigurationError
from .policy.doctor import UnsafeSetting
from .store.dialects import is_supported, open_dialect


@register(Tags.compatibility)
def check_settings(**_: Any) -> list[CheckMessage]:
    """Check the setting, the clock and the database: E001 to E004."""
    try:
        settings = get_settings()
    except ConfigurationError as error:
        return [Error(str(error), hint="See docs/reference/settings.md.", id="django_jobs.E001")]
    messages: list[CheckMessage] = []
    if not django_settings.USE_TZ:
        messages.append(
            Error(
                "django_jobs needs USE_TZ = True.",
                hint="Jobs are due at times of the database's clock, which is read in UTC.",
                id="django_jobs.E002",
            )
        )
    messages += _check_database(settings.database)
    return messages


def _check_database(alias: str) -> list[CheckMessage]:
    from django.db import connections

    messages: list[CheckMessage] = []
    connection = connections[alias]
    database = connection.settings_dict
    if not is_supported(connection):
        messages.append(
            Error(
                f"DJANGO_JOBS['DATABASE'] {alias!r} is a {connection.display_name} database.",
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
def check_options(**_: Any) -> list[CheckMessage]:
    """Check the options of the jobs' database, without a connection: W004."""
    try:
        dialect, connection = open_dialect()
    except ConfigurationError:
        return []  # E001 or E003 says so
    warnings: list[CheckMessage] = []
    for setting in dialect.server.unsafe_options(connection):
        what, advice = setting.value
        text = f"DATABASES[{connection.alias!r}]: {what}."
        warnings.append(Warning(text, hint=advice, id="django_jobs.W004"))
    return warnings


@register(Tags.database)
def check_schedules(*, databases: Any = None, **_: Any) -> list[CheckMessage]:
    """Check the schedules that this project's staff wrote: W002. Those from code are checked when they are defined."""
    from django.db import Error as DatabaseError

    from .models import CronSchedule
    from .schedules import find_problem

    if get_settings().database not in (databases or ()):
        return []
    try:
        of_staff = CronSchedule.objects.filter(is_from_code=False, disabled_at__isnull=True)
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

    alias = get_settings().database
    if alias not in (databases or ()):
        return []
    dialect, connection = open_dialect(alias)
    try:
        if dialect.server.takes_all_text(connection):
            return []
    except DatabaseError:
        return []  # the server is not there
    what, advice = UnsafeSetting.NARROW_TEXT.value
    return [Warning(f"{what[0].upper()}{what[1:]}.", hint=advice, id="django_jobs.W003")]


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
