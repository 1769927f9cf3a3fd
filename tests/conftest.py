from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection
from hypothesis import settings
from pytest_django import DjangoDbBlocker

from django_jobs.store import notify
from tests.databases import ROOT, chosen_vendor
from tests.flushing import permissions, quick_flush

TESTS = ROOT / "tests"

SLOW_FOLDERS = {"browser", "process", "shop"}
"""Start programs and wait for them; single slow tests of other folders are marked where they stand."""

settings.register_profile("fast", max_examples=10, deadline=None)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--release", action="store_true", help="also run what only a release must pass (marker: release)"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the slow folders; leave out what only a release must pass."""
    for item in items:
        if item.path.is_relative_to(TESTS) and item.path.relative_to(TESTS).parts[0] in SLOW_FOLDERS:
            item.add_marker(pytest.mark.slow)
    if not config.getoption("--release"):
        left_out = [item for item in items if item.get_closest_marker("release")]
        items[:] = [item for item in items if not item.get_closest_marker("release")]
        config.hook.pytest_deselected(items=left_out)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """Remove what a killed run left beside SQLite's file: a new file under an old log would be damaged by it."""
    if chosen_vendor() == "sqlite":
        name = connection.settings_dict["TEST"]["NAME"]
        for ending in ("-wal", "-shm", "-journal"):
            Path(name + ending).unlink(missing_ok=True)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Make the test database, and have its tables emptied quickly after each test."""
    with django_db_blocker.unblock():
        complete = permissions()
    with quick_flush(complete):
        yield


@pytest.fixture
def worker_environment(transactional_db: None) -> dict[str, str]:
    """The environment in which ``python -m django runworker`` works on the test database.

    Put a JSON object into ``DJANGO_JOBS_TEST_OPTIONS`` to give that process settings of its own.
    """
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "testproject.test_settings",
        "DJANGO_JOBS_TEST_DATABASE": chosen_vendor(),
        "DJANGO_JOBS_TEST_NAME": str(connection.settings_dict["NAME"]),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")])),
        "PYTHONUNBUFFERED": "1",
    }


@pytest.fixture(autouse=True)
def _fresh_doorbell(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget who was rung: the window between two rings is not to reach from one test into the next."""
    monkeypatch.setattr(notify, "_last_notified", {})
