from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection
from hypothesis import settings
from pytest_django import DjangoDbBlocker

from django_jobs.store import notify
from tests.databases import ROOT, chosen_vendor, used_vendors
from tests.flushing import permissions, quick_flush

TESTS = ROOT / "tests"

SLOW_FOLDERS = {"admin", "browser", "process", "shop"}
"""Render many pages, or start programs; single slow tests of other folders are marked where they stand."""
EVERY_VERSION_FOLDERS = {"admin"}
"""Slow, and run on every version of Django all the same: it changes the pages of the admin."""

ON_ONE_DATABASE = {
    "sqlite": (
        "admin/test_dashboard.py", "admin/test_secrets.py", "admin/test_site.py", "web/test_admin.py",
        "process/test_burst.py", "process/test_misbehaving_jobs.py", "process/test_openapi.py",
        "process/test_queue_order.py", "process/test_witness.py",
    ),
    "postgresql": (
        "admin/jobs/test_graph.py", "admin/jobs/test_copy.py", "admin/test_attempts.py", "admin/test_idempotency.py",
        "admin/test_schedules.py", "admin/test_workers.py",
        "process/test_cancelling.py", "process/test_forks.py", "process/test_graphs.py",
        "process/test_job_processes.py", "process/test_leaks.py", "process/test_stopping.py",
        "process/test_thread_deaths.py", "process/test_worker_deaths.py",
    ),
    "mysql": (
        "admin/batches/test_batches.py", "admin/jobs/test_page.py", "admin/jobs/test_replay.py",
        "admin/jobs/test_results.py", "admin/limits/test_limits.py", "admin/test_queues.py",
        "process/test_expiry.py", "process/test_health.py", "process/test_limits.py", "process/test_logs.py",
        "process/test_results.py", "process/test_schedules.py", "process/test_stop_requests.py",
        "process/test_web.py",
    ),
}  # fmt: skip
"""What processes, signals and pages do whatever the database: of those used together, on this one alone.

The statements that they send are tested on every database in ``store/``, and graphs, limits, schedules and rescues
under killed workers by ``process/test_chaos.py``. ``--database`` and ``--release`` run all.
"""

settings.register_profile("fast", max_examples=10, deadline=None)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--release", action="store_true", help="also run what only a release must pass (marker: release)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the slow folders; leave out what another database runs and what only a release must pass."""
    elsewhere = files_of_other_databases()
    kept, left_out = [], []
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0] if item.path.is_relative_to(TESTS) else ""
        if folder in SLOW_FOLDERS:
            item.add_marker(pytest.mark.slow)
        if folder in EVERY_VERSION_FOLDERS:
            item.add_marker(pytest.mark.every_version)
        is_release = item.get_closest_marker("release") and not config.getoption("--release")
        (left_out if item.path in elsewhere or is_release else kept).append(item)
    items[:] = kept
    config.hook.pytest_deselected(items=left_out)


def files_of_other_databases() -> set[Path]:
    """Return the files that this database leaves to another one. Raises UsageError for a file that was renamed."""
    files = {vendor: {TESTS / name for name in names} for vendor, names in ON_ONE_DATABASE.items()}
    if missing := sorted(str(path) for paths in files.values() for path in paths if not path.exists()):
        raise pytest.UsageError(f"ON_ONE_DATABASE in tests/conftest.py: no such file: {', '.join(missing)}")
    return set().union(*(files[vendor] for vendor in used_vendors() if vendor != chosen_vendor()))


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
