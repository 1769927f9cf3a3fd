from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol, runtime_checkable

import pytest

from django_jobs import registry
from django_jobs.brokers import consumes
from django_jobs.brokers.connecting import driver_of, find_settings
from django_jobs.brokers.interface import Driver, Subscription
from django_jobs.brokers.subscriptions import Consumption, consumptions
from django_jobs.conf import get_settings
from tests.databases import chosen_vendor, used_vendors
from tests.sampleapp import consumed

from .contract import HARNESSES, Harness, source_options

BROKER = "under-test"
FAKES = frozenset({"fakelog", "fakequeue"})
KILLED = "test_a_batch_is_taken_once_wherever_its_consumer_is_killed"
ONE_VENDOR = "sqlite"
WHOLE_WAY, REAL = "test_messages.py", frozenset({"kafka", "rabbitmq"})


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have the fakes tested on every database, and real brokers, of which no statement depends, on one of those used.

    A kill at each statement, half a minute a driver, is for the fakes and, with ``--release``, for all. So is the whole
    way of a message, but for one log and one queue: what a driver does is in ``test_drivers.py``, for each of them.
    """
    is_elsewhere = ONE_VENDOR in used_vendors() and chosen_vendor() != ONE_VENDOR
    for item in items:
        name = item.callspec.params.get("running_broker") if isinstance(item, CalledItem) else None
        if name is not None and name not in FAKES:
            item.add_marker(pytest.mark.slow)
            is_whole_way = item.path.name == WHOLE_WAY and name not in REAL
            if is_elsewhere or is_whole_way or item.name.startswith(KILLED):
                item.add_marker(pytest.mark.release)


@runtime_checkable
class CalledItem(Protocol):
    """A test with parameters."""

    callspec: Any


@pytest.fixture(scope="session", params=list(HARNESSES))
def running_broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    """A broker of each kind, started once."""
    with HARNESSES[request.param](tmp_path_factory.mktemp(request.param)) as harness:
        yield harness


@pytest.fixture
def broker(running_broker: Harness, settings: object) -> Iterator[Harness]:
    """The same, named ``under-test`` in the setting BROKERS, and up again after the test."""
    settings.DJANGO_JOBS = {"BROKERS": {BROKER: running_broker.settings, "inside": {"url": "database:"}}}  # type: ignore[attr-defined]  # of pytest-django
    yield running_broker
    running_broker.start()


@pytest.fixture
def driver(broker: Harness) -> Driver:
    return driver_of(find_settings(BROKER))


@pytest.fixture
def topic(broker: Harness) -> str:
    return broker.new_topic()


@pytest.fixture
def subscription(broker: Harness, topic: str) -> Subscription:
    return Subscription(**{"broker": BROKER, "name": topic, "group": "", **source_options(broker)})


Consume = Callable[..., Consumption]


@pytest.fixture
def consume(broker: Harness, topic: str) -> Iterator[Consume]:
    """Have ``consumed.ship`` consume the topic: ``consume(on_poison="stop")``."""
    assert registry.find(consumed.ship.name) is not None

    def mark(**options: object) -> Consumption:
        consumes(BROKER, topic, **source_options(broker) | options)(consumed.ship)  # type: ignore[arg-type]  # options of one test
        (found,) = consumptions(BROKER)
        return found

    yield mark
    vars(consumed.ship.function).pop("_django_jobs_consumes", None)
    get_settings.cache_clear()
