from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest
from django.core.management.color import no_style
from django.db import connection

from tests.databases import CONNECT_TIMEOUT, ROOT, WITHOUT_ADMIN, chosen_vendor
from tests.private import PrivateServer, new_server

from .proxy import Proxy
from .running import RunningWorker
from .sessions import sessions, wait_until_ended

StartWorker = Callable[..., RunningWorker]
S = TypeVar("S", bound=PrivateServer)


ON_EVERY_VERSION = {"test_burst", "test_cancelling", "test_logs", "test_misbehaving_jobs", "test_tasks"}
"""What a version of Python or Django may well change: signals, threads, tasks, logging, the command itself."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/process" in str(item.path):
            item.add_marker(pytest.mark.process)
            if item.path.stem in ON_EVERY_VERSION:
                item.add_marker(pytest.mark.every_version)


@pytest.fixture
def start_worker(worker_environment: dict[str, str]) -> Iterator[StartWorker]:
    """Start workers with keys of the setting ``WORKER`` given as keywords; whatever is left is killed at the end.

    ``settings`` holds the other keys of ``DJANGO_JOBS``.

    ``before`` is a program, with its arguments, that starts the worker. ``complete`` starts it as a project does, with
    the admin and the system checks: a fifth more of the processor's time.
    """
    started: list[RunningWorker] = []
    before_any = sessions()

    def start(
        *arguments: str,
        command: tuple[str, ...] = ("runworker",),
        before: tuple[str, ...] = (),
        complete: bool = False,
        settings: dict[str, Any] | None = None,
        **worker_settings: Any,
    ) -> RunningWorker:
        options = {"WORKER": worker_settings, **(settings or {})}
        environment = {**worker_environment, "DJANGO_JOBS_TEST_OPTIONS": json.dumps(options)}
        if not complete and command == ("runworker",):
            environment[WITHOUT_ADMIN] = "1"
            arguments = (*arguments, "--skip-checks")
        worker = RunningWorker(environment, *arguments, command=command, before=before)
        started.append(worker)
        return worker

    yield start
    for worker in started:
        worker.kill()
    if started:
        wait_until_ended(before_any)


PRIVATE_DATABASE = "private"


def environment_of(server: PrivateServer) -> dict[str, str]:
    """Tell a program that its database is on the private server."""
    prefix = f"DJANGO_JOBS_TEST_{chosen_vendor().upper()}_"
    where = {f"{prefix}{key}": value for key, value in server.settings().items()}
    return where | {"DJANGO_JOBS_TEST_NAME": PRIVATE_DATABASE, "DJANGO_JOBS_TEST_DATABASE": chosen_vendor()}


@pytest.fixture(scope="session")
def migrated_server() -> Iterator[PrivateServer]:
    """A server of these tests' own with all tables, which they may restart and crash."""
    with migrated(new_server(chosen_vendor())) as server:
        yield server


@contextmanager
def migrated(server: S) -> Iterator[S]:
    """Start a server with all tables, and remove it at the end of the block."""
    try:
        server.start()
        server.create_database(PRIVATE_DATABASE)
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "testproject.test_settings",
            **environment_of(server),
        }
        migrate = [sys.executable, "-m", "django", "migrate", "--run-syncdb", "--verbosity", "0"]
        subprocess.run(migrate, env=environment, cwd=ROOT, check=True)
        yield server
    finally:
        server.remove()


@pytest.fixture
def server(
    worker_environment: dict[str, str], migrated_server: PrivateServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PrivateServer]:
    """The private server, empty, with this process and the workers of the test connected to it."""
    worker_environment |= environment_of(migrated_server)
    with monkeypatch.context() as patch:
        connection.close()
        for key, value in (migrated_server.settings() | {"NAME": PRIVATE_DATABASE}).items():
            patch.setitem(connection.settings_dict, key, value)
        tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
        connection.ops.execute_sql_flush(connection.ops.sql_flush(no_style(), tables))
        yield migrated_server
        connection.close()


@pytest.fixture
def proxy(worker_environment: dict[str, str]) -> Iterator[Proxy]:
    """Stand between workers and the server, the test's own if it has one; this process goes directly."""
    vendor = connection.vendor
    where = connection.settings_dict
    proxy = Proxy(where["HOST"], int(where["PORT"]))
    worker_environment[f"DJANGO_JOBS_TEST_{vendor.upper()}_HOST"] = "127.0.0.1"
    worker_environment[f"DJANGO_JOBS_TEST_{vendor.upper()}_PORT"] = str(proxy.port)
    worker_environment[CONNECT_TIMEOUT] = "2"
    worker_environment["PGSSLMODE"] = "disable"  # the proxy looks for LISTEN
    yield proxy
    proxy.close()
