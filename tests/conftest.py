from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from hypothesis import HealthCheck, settings
from pytest_django import DjangoDbBlocker

from django_jobs.store import notify
from tests.databases import ROOT, chosen_vendor, used_vendors
from tests.flushing import make_waits_short, permissions, quick_flush
from tests.more_databases import copies, known, migrated_file
from tests.programs import environment_of_programs
from tests.trouble import Trouble

pytest_plugins = ["pytest_django_jobs"]

TESTS = ROOT / "tests"

SLOW_FOLDERS = {"admin", "browser", "process", "shop"}
"""Render many pages, or start programs; single slow tests of other folders are marked where they stand."""
EVERY_VERSION_FOLDERS = {"admin"}
"""Slow, and run on every version of Django all the same: it changes the pages of the admin."""

ON_ONE_DATABASE = {
    "sqlite": (
        "admin/dead_letters/test_bulk_actions.py", "admin/dead_letters/test_dead_letters.py",
        "admin/jobs/test_bulk_actions.py", "admin/test_back.py",
        "admin/test_control_characters.py", "admin/test_dashboard.py", "admin/test_job_types.py", "admin/test_menu.py",
        "admin/test_secrets.py", "admin/test_site.py", "admin/test_times.py", "web/test_admin.py",
        "contrib/mail/test_refusals.py", "contrib/mail/test_settings.py",
        "contrib/prometheus/test_counters.py", "contrib/prometheus/test_enabling.py",
        "contrib/prometheus/test_files.py", "contrib/prometheus/test_many_databases.py",
        "contrib/celery/test_app.py", "contrib/celery/test_checks.py", "contrib/celery/test_conf.py",
        "contrib/celery/test_options.py",
        "contrib/celery/test_schedules.py", "contrib/celery/test_tasks.py",
        "contrib/tasks/test_alias.py", "contrib/tasks/test_backend.py", "contrib/tasks/test_conformance.py",
        "contrib/tasks/test_ids.py", "contrib/tasks/test_jobs_backend.py",
        "store/enqueue/test_many_databases.py", "process/test_many_databases.py", "web/test_many_databases.py",
        "contrib/tasks/test_many_databases.py", "contrib/celery/test_many_databases.py",
        "contrib/tasks/test_source.py", "contrib/opentelemetry/test_shop.py", "contrib/opentelemetry/test_spans.py",
        "contrib/debug_toolbar/test_panel.py",
        "contrib/sentry/test_check_ins.py", "contrib/sentry/test_errors.py", "contrib/sentry/test_spans.py",
        "brokers/test_drivers.py", "brokers/test_kafka.py", "brokers/test_kafka_cluster.py", "brokers/test_pubsub.py",
        "brokers/test_rabbitmq.py", "brokers/test_rabbitmq_frames.py", "brokers/test_rabbitmq_streams.py",
        "brokers/test_redis.py", "brokers/test_settings.py", "brokers/test_sqs.py", "brokers/test_tls.py",
        "docs/test_blocks.py", "docs/test_contributing.py", "docs/test_docs.py", "docs/test_internals.py",
        "docs/test_made.py", "docs/test_performance.py", "docs/test_sentences.py", "docs/test_site.py",
        "moved/test_django_q2.py", "moved/test_rq.py",
        "process/test_burst.py", "process/test_chunks.py", "process/test_killing.py",
        "process/test_misbehaving_jobs.py", "process/test_openapi.py", "process/test_process_signals.py",
        "process/test_prometheus.py",
        "process/test_queue_order.py", "process/test_sentry.py", "process/test_tasks.py", "process/test_tracing.py",
        "process/test_witness.py",
        "testing/test_pytest_plugin.py", "worker/execution/test_around.py", "worker/execution/test_chunk_call.py",
        "worker/threads/test_batch_queue.py",
    ),
    "postgresql": (
        "contrib/celery/test_sample_project.py", "process/test_celery.py", "process/test_celery_move.py",
        "contrib/prometheus/test_page.py",
        "admin/jobs/test_graph.py", "admin/jobs/test_copy.py", "admin/jobs/test_dead.py",
        "admin/test_attempts.py", "admin/test_idempotency.py", "admin/test_statements.py",
        "admin/test_schedules.py", "admin/test_workers.py",
        "process/test_cancelling.py", "process/test_costs.py", "process/test_forks.py", "process/test_graphs.py",
        "process/test_frozen_server.py", "process/test_many_servers.py",
        "process/test_networks.py",
        "process/test_job_processes.py", "process/test_leaks.py", "process/test_message_chaos.py",
        "process/test_process_setup.py",
        "process/test_start_methods.py", "process/test_stopping.py", "process/test_thread_deaths.py",
        "process/test_worker_deaths.py", "worker/duties/test_idle_costs.py",
    ),
    "mysql": (
        "admin/batches/test_batches.py", "admin/jobs/test_page.py", "admin/jobs/test_replay.py",
        "admin/jobs/test_results.py", "admin/limits/test_limits.py", "admin/test_languages.py", "admin/test_links.py",
        "admin/test_queues.py",
        "process/test_consume.py", "process/test_deploys.py", "process/test_expiry.py", "process/test_health.py",
        "process/test_limits.py",
        "process/test_logs.py", "process/test_results.py", "process/test_schedules.py",
        "process/test_stop_requests.py", "process/test_supervisor.py", "process/test_top.py", "process/test_web.py",
        "process/test_working.py",
    ),
}  # fmt: skip
"""What processes, signals and pages do whatever the database: of those used together, on this one alone.

The statements that they send are tested on every database in ``store/``; real workers work, and graphs, limits,
schedules and rescues are kept under killed ones, by ``process/test_chaos.py`` and ``test_zoo.py``. ``--database`` and
``--release`` run all.
"""

# The same examples each time, on a slow machine too: what new ones find is a matter of a release, not of any change.
settings.register_profile("repeatable", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("fast", settings.get_profile("repeatable"), max_examples=10)
settings.register_profile("exploring", settings.get_profile("repeatable"), derandomize=False)
settings.load_profile("repeatable")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--release", action="store_true", help="also run what only a release must pass (marker: release)")
    parser.addoption("--pictures", action="store_true", help="keep pictures of pages in test-output/screenshots")


def pytest_configure(config: pytest.Config) -> None:
    """Look for new examples before a release."""
    if config.getoption("--release"):
        settings.load_profile("exploring")


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
        make_waits_short()
        complete = permissions()
    with quick_flush(complete):
        yield


@pytest.fixture
def worker_environment(transactional_db: None) -> dict[str, str]:
    """The environment in which ``python -m django runworker`` works on the test database.

    Put a JSON object into ``DJANGO_JOBS_TEST_OPTIONS`` to give that process settings of its own.
    """
    return environment_of_programs()


@pytest.fixture(scope="session")
def database_template(
    tmp_path_factory: pytest.TempPathFactory, django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> Path:
    """A SQLite file with all tables, of which copies are databases."""
    with django_db_blocker.unblock():
        return migrated_file(tmp_path_factory.mktemp("databases") / "template.sqlite3")


@pytest.fixture
def eu_and_us(database_template: Path, tmp_path: Path, transactional_db: None) -> Iterator[dict[str, Any]]:
    """Have jobs in three databases: that of the test, and two files."""
    entries = copies(database_template, tmp_path, "eu", "us")
    with known(entries):
        yield entries


@pytest.fixture
def trouble(transactional_db: None, tmp_path: Path) -> Iterator[Trouble]:
    """Have new connections of this process find no usable database, until the end of the test."""
    trouble = Trouble(tmp_path)
    yield trouble
    trouble.end()


@pytest.fixture(autouse=True)
def _fresh_doorbell(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget who was rung: the window between two rings is not to reach from one test into the next."""
    monkeypatch.setattr(notify, "_last_notified", {})
