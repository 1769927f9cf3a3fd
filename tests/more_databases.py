"""More databases beside that of the test, for jobs that are in several: SQLite files, or databases of real servers."""

from __future__ import annotations

import inspect
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from copy import deepcopy
from pathlib import Path
from socket import create_server
from typing import Any
from unittest import mock

from django.core.management import call_command
from django.db import connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import override_settings

from tests.databases import database

MORE = "DJANGO_JOBS_TEST_MORE_DATABASES"
"""Read by the settings of the tests: more entries of DATABASES, as JSON."""


@contextmanager
def known(entries: Mapping[str, dict[str, Any]], **options: Any) -> Iterator[None]:
    """Have this process know these databases by their aliases, and the jobs be in them and in ``default``.

    ``options``: more keys of DJANGO_JOBS.
    """
    for alias, entry in entries.items():
        connections.settings[alias] = {**deepcopy(connections.settings["default"]), **entry, "OPTIONS": {}}
        connections.settings[alias]["OPTIONS"].update(entry.get("OPTIONS", {}))
    jobs = {"DATABASES": ["default", *entries], **options}
    try:
        connect = mock.patch.object(BaseDatabaseWrapper, "ensure_connection", _real_ensure_connection())
        with override_settings(DJANGO_JOBS=jobs), connect:
            yield
    finally:
        for alias in entries:
            connections[alias].close()
            del connections[alias]
            del connections.settings[alias]


def migrated_file(path: Path) -> Path:
    """Return a SQLite file with all tables."""
    with known({"template": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(path)}}):
        call_command("migrate", database="template", run_syncdb=True, verbosity=0)
        with connections["template"].cursor() as cursor:
            cursor.execute("PRAGMA journal_mode = DELETE")  # one file, which can be copied
    return path


def copies(template: Path, folder: Path, *aliases: str) -> dict[str, Any]:
    """Return entries of DATABASES for copies of a SQLite file."""
    engine = "django.db.backends.sqlite3"
    return {alias: {"ENGINE": engine, "NAME": str(shutil.copy(template, folder / alias))} for alias in aliases}


def _real_ensure_connection() -> Any:
    """Return the method that Django has a TestCase replace: for the aliases that it does not name it refuses."""
    method = BaseDatabaseWrapper.ensure_connection
    return inspect.getclosurevars(method).nonlocals.get("real_ensure_connection", method)


@contextmanager
def created(vendor: str, alias: str) -> Iterator[dict[str, Any]]:
    """Create a database on a server beside that of the test, with all tables, and drop it in the end."""
    name = f"{Path(str(connection.settings_dict['NAME'])).stem}_{alias}"[:60]
    entry = {**database(vendor), "NAME": name}
    _execute(vendor, f"DROP DATABASE IF EXISTS {name}", f"CREATE DATABASE {name}")
    try:
        with known({alias: entry}):
            call_command("migrate", database=alias, run_syncdb=True, verbosity=0)
        yield entry
    finally:
        _execute(vendor, f"DROP DATABASE {name}{' WITH (FORCE)' if vendor == 'postgresql' else ''}")


def environment(entries: Mapping[str, dict[str, Any]], **options: Any) -> dict[str, str]:
    """Return what a worker's environment has more, to know these databases."""
    jobs = {"DATABASES": ["default", *entries], **options}
    return {MORE: json.dumps(entries), "DJANGO_JOBS_TEST_OPTIONS": json.dumps(jobs)}


@contextmanager
def silent(vendor: str) -> Iterator[dict[str, Any]]:
    """Listen, take connections and never say a word: a server that is frozen."""
    with closing(create_server(("127.0.0.1", 0))) as server:
        engine = {"sqlite": "postgresql"}.get(vendor, vendor)
        yield {
            "ENGINE": f"django.db.backends.{engine}", "NAME": "x", "USER": "x", "PASSWORD": "x", "HOST": "127.0.0.1",
            "PORT": str(server.getsockname()[1]),
        }  # fmt: skip


def _execute(vendor: str, *statements: str) -> None:
    """Execute statements on the server, outside of any of its databases that tests use."""
    maintenance = {"postgresql": "postgres", "mysql": "mysql"}[vendor]
    with known({"maintenance": {**database(vendor), "NAME": maintenance}}):
        connections["maintenance"].ensure_connection()
        with connections["maintenance"].cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
