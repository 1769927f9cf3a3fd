"""Which databases the tests may use, where they are, and whether they answer.

``DJANGO_JOBS_TEST_DATABASE`` chooses one for a run of pytest: ``sqlite`` (the default), ``postgresql`` or
``mysql`` (MariaDB too). A server's address comes from ``DJANGO_JOBS_TEST_POSTGRESQL_HOST``, ``_PORT``,
``_USER``, ``_PASSWORD`` and the same with ``MYSQL``; without them the usual local addresses are tried.
``DJANGO_JOBS_TEST_NAME`` is the database's name (SQLite: its path): a worker that a test starts is
given the test database's by it, and two runs on one server keep out of each other's way.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "test-output"
VENDORS = ("sqlite", "postgresql", "mysql")
TITLES = {"sqlite": "SQLite", "postgresql": "PostgreSQL", "mysql": "MariaDB / MySQL"}
CONNECT_SECONDS = 5
REQUIRE_ALL = "DJANGO_JOBS_TEST_REQUIRE_ALL"
"""Set where a program that a test needs must be there; see ``tests/required.py``."""

USED = "DJANGO_JOBS_TEST_USED"
"""The vendors, with commas, on which ``python3 tests`` runs the suite, this one among them."""

WITHOUT_ADMIN = "DJANGO_JOBS_TEST_WITHOUT_ADMIN"
"""Set for workers, which need none, and start sooner without."""
CONNECT_TIMEOUT = "DJANGO_JOBS_TEST_CONNECT_TIMEOUT"
"""Set, in seconds, where a worker is to wait for a server that it can reach and that says nothing."""
POOL = "DJANGO_JOBS_TEST_POOL"
"""Set for processes that are to use psycopg's pool, as a project's settings may say."""

_ENGINES = {vendor: f"django.db.backends.{'sqlite3' if vendor == 'sqlite' else vendor}" for vendor in VENDORS}
_USUAL = {
    "postgresql": {"HOST": "127.0.0.1", "PORT": "5432", "USER": "postgres", "PASSWORD": ""},
    "mysql": {"HOST": "127.0.0.1", "PORT": "3306", "USER": "root", "PASSWORD": ""},
}


def chosen_vendor() -> str:
    """Return the vendor that this run of pytest, or this worker, uses."""
    vendor = os.environ.get("DJANGO_JOBS_TEST_DATABASE", "sqlite")
    if vendor not in VENDORS:
        raise ValueError(f"DJANGO_JOBS_TEST_DATABASE: expected one of {', '.join(VENDORS)}, got {vendor!r}")
    return vendor


def used_vendors() -> list[str]:
    """Return the vendors on which the suite is run, one after another or side by side; one where pytest runs alone."""
    return os.environ.get(USED, chosen_vendor()).split(",")


def address(vendor: str) -> dict[str, str]:
    """Return HOST, PORT, USER and PASSWORD of a server, from the environment or as they usually are."""
    return {
        key: os.environ.get(f"DJANGO_JOBS_TEST_{vendor.upper()}_{key}", usual) for key, usual in _USUAL[vendor].items()
    }


def database(vendor: str) -> dict[str, Any]:
    """Return the entry of DATABASES for ``vendor``. On SQLite the test database is a file as well."""
    name = os.environ.get("DJANGO_JOBS_TEST_NAME", "")
    OUTPUT.mkdir(exist_ok=True)
    if vendor == "sqlite":
        path = Path(name) if name else OUTPUT / "django_jobs.sqlite3"
        test_path = path.with_name(f"test_{path.name}")
        return {"ENGINE": _ENGINES[vendor], "NAME": str(path), "TEST": {"NAME": str(test_path)}}
    options: dict[str, Any] = {}
    if seconds := os.environ.get(CONNECT_TIMEOUT):
        options["connect_timeout"] = int(seconds)
    if os.environ.get(POOL):
        options["pool"] = True
    return {"ENGINE": _ENGINES[vendor], "NAME": name or "django_jobs", "OPTIONS": options, **address(vendor)}


def why_not(vendor: str) -> str | None:
    """Return why ``vendor`` cannot be used now, or None where it answers."""
    match vendor:
        case "postgresql":
            return _why_not_postgresql()
        case "mysql":
            return _why_not_mysql()
    return None


def _why_not_postgresql() -> str | None:
    try:
        import psycopg
    except ImportError as error:
        return f"the driver psycopg is not installed ({error})"
    where = address("postgresql")
    try:
        psycopg.connect(
            host=where["HOST"],
            port=where["PORT"],
            user=where["USER"],
            password=where["PASSWORD"],
            dbname="postgres",
            connect_timeout=CONNECT_SECONDS,
        ).close()
    except psycopg.Error as error:
        return _no_answer("postgresql", error)
    return None


def _why_not_mysql() -> str | None:
    try:
        import MySQLdb
    except ImportError as error:
        return f"the driver mysqlclient is not installed ({error})"
    where = address("mysql")
    try:
        MySQLdb.connect(
            host=where["HOST"],
            port=int(where["PORT"]),
            user=where["USER"],
            password=where["PASSWORD"],
            connect_timeout=CONNECT_SECONDS,
        ).close()
    except MySQLdb.Error as error:
        return _no_answer("mysql", error)
    return None


def _no_answer(vendor: str, error: Exception) -> str:
    where = address(vendor)
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return f"no server for {where['USER']} at {where['HOST']}:{where['PORT']} ({reason})"
