"""A server that is frozen, of two that one worker serves: its runs hold their slots, and the other's jobs go on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from django_jobs.models import Job, Worker
from tests.concurrency import wait_until
from tests.databases import database
from tests.misbehaving.jobs import count_visit_after, read_visits_after
from tests.more_databases import environment, known
from tests.private.postgresql import PrivatePostgreSQL
from tests.sampleapp.jobs import count_visit_here, echo_async
from tests.sampleapp.models import Customer

from .conftest import PRIVATE_DATABASE, StartWorker
from .running import wait_for_start
from .shards import SETTINGS, empty, enqueue_visits, unfinished, visits

SLOTS = 2
BEFORE, MEANWHILE = 60, 20


@pytest.fixture
def _eu(migrated_server: PrivatePostgreSQL, worker_environment: dict[str, str]) -> Iterator[None]:
    entries = {"eu": {**database("postgresql"), **migrated_server.settings(), "NAME": PRIVATE_DATABASE}}
    worker_environment |= environment(entries)
    with known(entries):
        empty("eu")
        yield


pytestmark = [pytest.mark.usefixtures("_eu"), pytest.mark.timeout(240)]


@pytest.mark.parametrize("pool", ["threads", "processes"])
def test_a_frozen_server_keeps_no_slot_from_the_jobs_of_another(
    start_worker: StartWorker, migrated_server: PrivatePostgreSQL, tmp_path: Path, pool: str
) -> None:
    customer = Customer.objects.using("eu").create(name="Ada")
    holders = [str(tmp_path / f"go{number}") for number in range(SLOTS)]
    count_visit_after.using(database="eu").enqueue_many([(customer.pk, path) for path in holders])
    count_visit_here.using(database="eu", priority=-1).enqueue_many([(customer.pk,)] * BEFORE)
    worker = start_worker("--concurrency", str(SLOTS), "--pool", pool, settings=_settings())
    for path in holders:
        wait_for_start(Path(path))

    with migrated_server.frozen():
        _let_go(holders)  # their statements get no answer: they hold all slots
        others = enqueue_visits(MEANWHILE, "default")
        wait_until(lambda: unfinished("default") == 0, "the other's jobs to end")
        assert visits(others) == [MEANWHILE]
        worker.wait_for_line(r"database 'eu' has not answered the heartbeat for \d+ s; none of its jobs start")

    wait_until(lambda: unfinished("eu") == 0, "the jobs of the server that answers again to end")
    worker.wait_for_line(r"database 'eu' answers the heartbeat again")
    assert visits({"eu": customer}) == [SLOTS + BEFORE]
    assert Job.objects.using("eu").filter(name__endswith=".do_nothing").count() == BEFORE
    assert worker.stop() == 0, worker.output
    assert {Worker.objects.using(alias).latest("pk").state for alias in ("default", "eu")} == {"stopped"}


def test_async_jobs_of_a_frozen_server_keep_no_slot_from_those_of_another(
    start_worker: StartWorker, migrated_server: PrivatePostgreSQL, tmp_path: Path
) -> None:
    customer = Customer.objects.using("eu").create(name="Ada")
    holders = [str(tmp_path / f"go{number}") for number in range(SLOTS)]
    reading = read_visits_after.using(database="eu").enqueue_many([(customer.pk, path) for path in holders])
    worker = start_worker(settings=_settings(ASYNC_CONCURRENCY=SLOTS))
    for path in holders:
        wait_for_start(Path(path))

    with migrated_server.frozen():
        _let_go(holders)
        echo_async.using(database="default").enqueue_many([(number,) for number in range(MEANWHILE)])
        wait_until(lambda: unfinished("default") == 0, "the other's jobs to end")

    wait_until(lambda: unfinished("eu") == 0, "the jobs of the server that answers again to end")
    assert [one.refresh().result for one in reading] == [0] * SLOTS
    assert worker.stop() == 0, worker.output


@pytest.mark.release  # half a minute
def test_a_stop_waits_for_no_server_that_is_frozen(
    start_worker: StartWorker, migrated_server: PrivatePostgreSQL, tmp_path: Path
) -> None:
    customer = Customer.objects.using("eu").create(name="Ada")
    held = count_visit_after.using(database="eu").enqueue(customer.pk, str(tmp_path / "go"))
    worker = start_worker("--concurrency", "1", settings=_settings(SHUTDOWN_GRACE=1))
    wait_for_start(tmp_path / "go")

    with migrated_server.frozen():
        _let_go([str(tmp_path / "go")])
        others = enqueue_visits(MEANWHILE, "default")
        wait_until(lambda: unfinished("default") == 0, "the other's jobs to end")
        worker.stop()
        assert visits(others) == [MEANWHILE]
        assert Worker.objects.latest("pk").state == "stopped"

    start_worker("--databases", "eu", settings=_settings())
    assert held.wait(60).state == "succeeded"
    assert visits({"eu": customer}) == [1]


def _settings(**more: object) -> dict[str, object]:
    return {"DATABASES": ["default", "eu"], "WORKER": {**SETTINGS["WORKER"], **more}}


def _let_go(paths: list[str]) -> None:
    for path in paths:
        Path(path).touch()
