"""Check that the database can be used: it answers and has the tables of this code. A sentence says why not."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from shlex import quote
from typing import Any

from django.db import DEFAULT_DB_ALIAS, OperationalError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from ..models import Worker
from .dialects import is_unmigrated, open_dialect

APP_LABEL = Worker._meta.app_label


class UnappliedMigrationsError(OperationalError):
    """Migrations of this code are not applied; the message names them."""


def check_readiness(*, using: str | None = None) -> None:
    """Raise the driver's error if the database cannot be used, UnappliedMigrationsError if it is not migrated.

    A handful of statements, one in a transaction: a pooler may refuse those. Only migrations of ``django_jobs`` itself
    count.
    """
    _, connection = open_dialect(using)
    if unapplied := unapplied_migrations(APP_LABEL, using=using):
        raise UnappliedMigrationsError(f"not applied: {', '.join(unapplied)}")
    # A project may create the tables without migrations (MIGRATION_MODULES), and somebody may have dropped them.
    with transaction.atomic(using=connection.alias):
        Worker.objects.using(connection.alias).exists()


def unapplied_migrations(label: str, *, using: str | None = None) -> list[str]:
    """Return the migrations of an app that the database lacks, such as ``django_jobs.0001_initial``.

    It reads the files of that app only: Django's own loader imports the migrations of the whole project.
    """
    module_name, _ = MigrationLoader.migrations_module(label)
    if module_name is None:
        return []
    _, connection = open_dialect(using)
    applied = {name for app, name in MigrationRecorder(connection).applied_migrations() if app == label}
    names = [module.name for module in iter_modules(import_module(module_name).__path__) if module.name[0] not in "_~"]
    return [f"{label}.{name}" for name in sorted(names) if not _is_applied(label, module_name, name, applied)]


def is_unmigrated_error(error: Exception, *, using: str | None = None) -> bool:
    """Tell whether an error says that migrations of this code are not applied."""
    _, connection = open_dialect(using)
    return isinstance(error, UnappliedMigrationsError) or is_unmigrated(connection, error)


def explain(error: Exception, *, using: str | None = None) -> str:
    """Return one sentence that says why the database cannot be used, with the reason of the server or driver."""
    _, connection = open_dialect(using)
    if not is_unmigrated_error(error, using=using):
        return f"the database {_place(connection)} cannot be used: {reason_of(error)}"
    option = "" if connection.alias == DEFAULT_DB_ALIAS else f" --database {quote(connection.alias)}"
    return (
        f"the database {_place(connection)} lacks tables of django_jobs ({reason_of(error)});"
        f" run {f'manage.py migrate{option}'!r}"
    )


def reason_of(error: Exception) -> str:
    """Return the first line of an error of a driver, with its number if it has one."""
    lines = [" ".join(line.split()) for line in _text(error.args).splitlines()]
    return next(filter(None, lines), type(error).__name__)


def _text(args: tuple[Any, ...]) -> str:
    if len(args) > 1 and isinstance(args[0], int):  # mysqlclient: the number, then the text
        return f"{args[1]} ({args[0]})"
    return str(args[0]) if args else ""


def _place(connection: BaseDatabaseWrapper) -> str:
    """Return the alias of a database, and what the settings say about where it is."""
    settings = connection.settings_dict
    host, port = settings.get("HOST"), settings.get("PORT")
    parts = [str(settings["NAME"] or ""), f"at {host}{f':{port}' if port else ''}" if host else ""]
    where = " ".join(filter(None, parts))
    return f"{connection.alias!r} ({where})" if where else repr(connection.alias)


def _is_applied(label: str, module_name: str, name: str, applied: set[str]) -> bool:
    if name in applied:
        return True
    replaced = import_module(f"{module_name}.{name}").Migration.replaces
    return bool(replaced) and all(app == label and one in applied for app, one in replaced)
