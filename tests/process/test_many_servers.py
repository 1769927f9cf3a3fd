"""A worker that serves two servers of PostgreSQL and one of MariaDB, of which one is killed under load."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections

from django_jobs.models import Worker
from tests.concurrency import wait_until
from tests.databases import database
from tests.more_databases import created, environment, known
from tests.private import PrivateServer

from .conftest import PRIVATE_DATABASE, StartWorker
from .shards import empty, enqueue_visits, settings_of, unfinished, visits

ALIASES = ("default", "eu", "maria")
OTHERS = ("default", "maria")

pytestmark = [pytest.mark.release, pytest.mark.usefixtures("_databases")]


@pytest.fixture(scope="module")
def maria(django_db_setup: None, django_db_blocker: Any) -> Iterator[dict[str, Any]]:
    with django_db_blocker.unblock(), created("mysql", "maria") as entry:
        yield entry


@pytest.fixture
def _databases(
    maria: dict[str, Any], migrated_server: PrivateServer, worker_environment: dict[str, str]
) -> Iterator[None]:
    eu = {**database("postgresql"), **migrated_server.settings(), "NAME": PRIVATE_DATABASE}
    entries = {"eu": eu, "maria": maria}
    worker_environment |= environment(entries)
    with known(entries):
        empty("eu", "maria")
        yield


@pytest.mark.timeout(300)
def test_one_server_is_killed_under_load_and_the_others_go_on(
    start_worker: StartWorker, migrated_server: PrivateServer
) -> None:
    customers = enqueue_visits(150, *ALIASES)
    worker = start_worker("--concurrency", "2", "--health-port", "0", settings=settings_of(*ALIASES))
    address = worker.wait_for_line(r"health +(http://\S+)/live").group(1)
    wait_until(lambda: min(visits(customers)) > 5, "jobs of all to run")

    migrated_server.crash()
    try:
        late = enqueue_visits(50, *OTHERS)
        wait_until(lambda: unfinished(*OTHERS) == 0, "the others' jobs to end")
        assert visits(customers, *OTHERS) == [150, 150]
        assert visits(late) == [50, 50]
        worker.wait_for_line(r"database 'eu' failed")
        told = wait_until(lambda: degraded(address), "the health to say so")
        assert all("database 'eu'" in reason for reason in told)
    finally:
        migrated_server.start()
        connections["eu"].close()  # this process's own

    wait_until(lambda: unfinished("eu") == 0, "the jobs of the server that is back to end", seconds=60)
    assert visits(customers, "eu") == [150]
    wait_until(lambda: not degraded(address), "the health to be whole")
    assert worker.stop() == 0, worker.output
    assert {Worker.objects.using(alias).latest("pk").state for alias in ALIASES} == {"stopped"}


@pytest.mark.timeout(300)
def test_one_that_is_down_at_the_start_keeps_the_others_from_nothing(
    start_worker: StartWorker, migrated_server: PrivateServer
) -> None:
    customers = enqueue_visits(10, *ALIASES)
    migrated_server.stop()
    try:
        worker = start_worker("--concurrency", "2", settings=settings_of(*ALIASES))
        wait_until(lambda: unfinished(*OTHERS) == 0, "the others' jobs to end")
        worker.wait_for_line(r"no worker is started yet for database 'eu'")
        worker.wait_for_line(r"ready: jobs are taken")
    finally:
        migrated_server.start()
        connections["eu"].close()  # this process's own

    wait_until(lambda: unfinished("eu") == 0, "the jobs of the server that came late to end", seconds=60)
    assert visits(customers) == [10, 10, 10]
    assert worker.stop() == 0, worker.output


def degraded(address: str) -> list[str]:
    """Return what /ready says is missing, of a worker that is ready."""
    with urllib.request.urlopen(f"{address}/ready", timeout=30) as answer:
        body = json.load(answer)
    assert body["ok"], body
    found: list[str] = body.get("degraded", [])
    return found
