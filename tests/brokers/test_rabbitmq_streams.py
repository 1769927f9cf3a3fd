"""What only streams of RabbitMQ do: bounds that are found by reading, chunks, retention, queues that are none."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import amqp
import pytest

from django_jobs.brokers.connecting import driver_of
from django_jobs.brokers.interface import BrokerDownError, Driver, LogSource, ReceivedMessage, Sent, Subscription
from django_jobs.brokers.subscriptions import consumes, find_problems
from django_jobs.conf.brokers import as_brokers
from django_jobs.exceptions import ConfigurationError
from tests.concurrency import wait_until
from tests.sampleapp import consumed

from .contract import Harness
from .rabbitmq_queues import RabbitStreamHarness
from .test_drivers import collect, message, read_all, send

with_server = pytest.mark.parametrize("running_broker", ["rabbitmq-stream"], indirect=True)

pytestmark = pytest.mark.slow


def make(url: str, **options: Any) -> Driver:
    return driver_of(as_brokers("BROKERS", {"rabbit": {"url": url, "options": options}})["rabbit"])


def open_stream(driver: Driver, name: str, **given: Any) -> LogSource:
    source = driver.open_source(Subscription(broker="rabbit", name=name, group="", stream=True, **given))
    assert source.kind == "log"
    return source


def bodies(found: Sequence[ReceivedMessage]) -> list[int]:
    return [int(one.body) for one in found]


@pytest.fixture
def url(running_broker: Harness) -> str:
    return str(running_broker.settings["url"])


@pytest.fixture
def client(running_broker: Harness) -> Iterator[Any]:
    """A channel of the client itself."""
    assert isinstance(running_broker, RabbitStreamHarness)
    with running_broker.connect() as connection:
        yield connection.channel()


def numbered(topic: str, numbers: range) -> list[Any]:
    return [message(topic, number, body=b"%d" % number) for number in numbers]


@with_server
def test_a_stream_that_is_longer_than_the_prefetch_is_read_and_measured_to_its_end(url: str, topic: str) -> None:
    driver = make(url, prefetch=10)
    assert set(send(driver, *numbered(topic, range(300)))) == {Sent()}
    source = open_stream(driver, topic)
    bounds = source.range_of("0")
    assert (bounds.first, bounds.end) == ("0", "300")
    assert (source.lag("0", "120"), source.lag("0", "300")) == (180, 0)
    assert bodies(read_all(source, 300)) == list(range(300))
    source.close()


@with_server
def test_messages_that_come_while_it_is_read_are_read_on(url: str, topic: str) -> None:
    source = open_stream(make(url), topic)
    assert source.range_of("0").end == "0"
    position = "0"
    for number in range(3):
        send(make(url), *numbered(topic, range(number, number + 1)))
        (found,) = collect(lambda limit: source.read({"0": position}, limit=limit, wait_seconds=1.0), 1)  # noqa: B023
        assert (bodies([found]), found.position) == ([number], str(number))
        position = found.next_position
    source.close()


@with_server
def test_a_stream_is_read_from_the_second_of_an_instant(url: str, topic: str) -> None:
    driver, instants = make(url), []
    for number in range(3):
        begun = int(time.time())
        wait_until(lambda begun=begun: int(time.time()) > begun, "the next second")  # type: ignore[misc]
        instants.append(datetime.now(UTC))
        send(driver, *numbered(topic, range(number * 2, number * 2 + 2)))
    source = open_stream(driver, topic)
    assert [source.position_at("0", instant) for instant in instants] == ["0", "2", "4"]
    assert source.position_at("0", datetime(1960, 1, 1, tzinfo=UTC)) == "0"
    assert source.position_at("0", datetime(2100, 1, 1, tzinfo=UTC)) == "6"
    source.close()


@with_server
def test_a_position_that_retention_has_deleted_reads_on_from_the_first_message(
    url: str, client: Any, topic: str
) -> None:
    name = f"{topic}-short"
    arguments = {"x-queue-type": "stream", "x-max-length-bytes": 20_000, "x-stream-max-segment-size-bytes": 10_000}
    client.queue_declare(name, durable=True, auto_delete=False, arguments=arguments)
    driver = make(url)
    for number in range(10):
        send(driver, *(message(name, number, body=b"x" * 1_000) for _ in range(10)))
    source = open_stream(driver, name)
    wait_until(lambda: int(source.range_of("0").first) > 0, "the first segment is deleted")
    (found,) = collect(lambda limit: source.read({"0": "0"}, limit=1, wait_seconds=1.0), 1)
    assert int(found.position) > 0
    send(driver, message(name, 99))
    while found.message_id != "id-99":
        found = source.read({"0": found.next_position}, limit=1, wait_seconds=5.0)[0]
    assert source.range_of("0").end == found.next_position
    source.close()


@with_server
def test_a_stream_is_created_and_bound_to_an_exchange(url: str, client: Any) -> None:
    exchange = f"orders-{uuid4().hex[:8]}"
    name = f"{exchange}-audit"
    client.exchange_declare(exchange, "topic", durable=True, auto_delete=False)
    with pytest.raises(ConfigurationError, match=rf"BROKERS'\]\['rabbit'\]: expected a stream '{name}', .* is none"):
        open_stream(make(url), name)
    source = open_stream(make(url, create_queues=True), name, bind=((exchange, "order.*.placed"),))
    assert send(make(url), message(f"{exchange}/order.eu.placed", 1)) == [Sent()]
    (found,) = read_all(source, 1)
    assert (found.message_id, found.position) == ("id-1", "0")
    source.close()
    with pytest.raises(amqp.PreconditionFailed, match="'stream'"):
        client.queue_declare(name, durable=True, auto_delete=False)


@with_server
def test_a_queue_that_is_named_as_a_stream_is_refused(url: str, client: Any, topic: str) -> None:
    name = f"{topic}-queue"
    client.queue_declare(name, durable=True, auto_delete=False)
    with pytest.raises(ConfigurationError, match=f"expected a stream '{name}'; leave out stream=True"):
        open_stream(make(url), name)


@with_server
def test_a_stream_that_is_deleted_is_a_configuration_error_at_the_next_connection(
    url: str, client: Any, topic: str
) -> None:
    source = open_stream(make(url), topic)
    assert not source.read({"0": "0"}, limit=1, wait_seconds=0)
    client.queue_delete(topic)
    with pytest.raises(BrokerDownError):
        source.read({"0": "0"}, limit=1, wait_seconds=20.0)
    source.close()
    with pytest.raises(ConfigurationError, match=topic):
        open_stream(make(url), topic)


@with_server
@pytest.mark.release
def test_a_stream_whose_node_is_starting_is_down_and_not_missing(running_broker: Harness, url: str, topic: str) -> None:
    assert isinstance(running_broker, RabbitStreamHarness)
    running_broker.stop()
    running_broker.start_without_wait()
    refused: list[str] = []

    def opens() -> bool:
        try:
            open_stream(make(url), topic).close()
        except BrokerDownError as error:
            refused.append(str(error))
            return False
        return True

    wait_until(opens, "the stream is open")
    assert "inaccessible" in "".join(refused)
    running_broker.start()


def test_a_stream_may_have_a_group_and_a_start() -> None:
    make("amqp://host").check(Subscription(broker="rabbit", name="audit", group="billing", start="latest", stream=True))


def test_a_stream_of_a_broker_without_queues_is_a_problem(settings: Any) -> None:
    settings.DJANGO_JOBS = {"BROKERS": {"events": {"url": "redis://host/0"}}}
    consumes("events", "orders", stream=True)(consumed.ship)
    try:
        (problem,) = find_problems()
    finally:
        vars(consumed.ship.function).pop("_django_jobs_consumes")
    assert "stream: expected a broker whose queues may be streams (RabbitMQ), got redis:; leave it out" in problem
