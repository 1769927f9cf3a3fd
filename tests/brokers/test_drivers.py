"""What every driver does, asked without a database: the contract of ``django_jobs/brokers/interface.py``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from django_jobs.brokers.interface import (
    BrokerDownError,
    Driver,
    LogSource,
    NotSent,
    OutgoingMessage,
    QueueSource,
    ReceivedMessage,
    Refused,
    SendOutcome,
    Sent,
    Source,
    Subscription,
)
from django_jobs.exceptions import ConfigurationError
from django_jobs.policy.cloud_events import received_id

from .contract import Harness

SECONDS = 60.0


def message(topic: str, number: int, *, key: str | None = "k", body: bytes | None = None) -> OutgoingMessage:
    return OutgoingMessage(
        destination=topic,
        body=b'{"number": %d}' % number if body is None else body,
        key=key,
        attributes={"id": f"id-{number}", "source": "/tests", "type": "t", "time": "", "specversion": "1.0"},
        headers={"tenant": "eu", "umlaut": "ä"},
    )


def send(driver: Driver, *messages: OutgoingMessage) -> Sequence[SendOutcome]:
    sender = driver.open_sender()
    try:
        return sender.send(messages)
    finally:
        sender.close()


def read_all(source: Source, number: int) -> list[ReceivedMessage]:
    """Return so many messages, of a log from its first position, of a queue acknowledging each batch."""
    if source.kind == "queue":

        def receive(limit: int) -> Sequence[ReceivedMessage]:
            got = source.receive(limit=limit, wait_seconds=1.0)
            source.acknowledge(got)
            return got

        return collect(receive, number)
    positions = {partition: source.range_of(partition).first for partition in source.partitions()}

    def read(limit: int) -> Sequence[ReceivedMessage]:
        found = source.read(positions, limit=limit, wait_seconds=1.0)
        positions.update({one.partition: one.next_position for one in found})
        return found

    return collect(read, number)


def collect(read: Callable[[int], Sequence[ReceivedMessage]], number: int) -> list[ReceivedMessage]:
    found: list[ReceivedMessage] = []
    deadline = datetime.now(UTC) + timedelta(seconds=SECONDS)
    while len(found) < number:
        assert datetime.now(UTC) < deadline, f"{len(found)} of {number} messages came"
        found += read(number - len(found))
    return found


def test_what_is_sent_arrives_in_order_with_key_headers_and_id(driver: Driver, subscription: Subscription) -> None:
    source = driver.open_source(subscription)
    assert send(driver, *(message(subscription.name, number) for number in range(20))) == [Sent()] * 20
    found = read_all(source, 20)
    source.close()
    assert [one.body for one in found] == [b'{"number": %d}' % number for number in range(20)]
    assert [received_id(one.headers, None) for one in found] == [f"id-{number}" for number in range(20)]
    assert {(one.headers["tenant"], one.headers["umlaut"]) for one in found} == {("eu", "ä")}
    assert {one.key for one in found} == {"k"}


def test_bytes_arrive_as_they_are(driver: Driver, subscription: Subscription) -> None:
    source = driver.open_source(subscription)
    body = bytes(range(256))
    assert send(driver, message(subscription.name, 1, body=body)) == [Sent()]
    (found,) = read_all(source, 1)
    source.close()
    assert found.body == body


def test_each_message_of_a_batch_has_its_own_outcome(broker: Harness, driver: Driver, topic: str) -> None:
    if broker.too_large is None:
        pytest.skip("this broker takes any body")
    large = message(topic, 2, body=b"x" * broker.too_large)
    first, second, third = send(driver, message(topic, 1), large, message(topic, 3))
    assert (first, third) == (Sent(), Sent())
    assert isinstance(second, Refused)
    assert second.is_permanent
    assert second.reason


def test_a_topic_that_is_not_there_refuses_its_messages_alone(driver: Driver, topic: str) -> None:
    missing, there = send(driver, message(f"{topic}-missing", 1), message(topic, 2))
    assert isinstance(missing, Refused)
    assert there == Sent()


def test_a_source_that_is_not_there_is_a_configuration_error(driver: Driver, topic: str) -> None:
    missing = Subscription(broker="under-test", name=f"{topic}-missing", group="")
    with pytest.raises(ConfigurationError, match=f"{topic}-missing"):
        driver.open_source(missing).close()


def test_a_broker_that_is_down_is_no_fault_of_a_message(
    broker: Harness, driver: Driver, subscription: Subscription
) -> None:
    sender, source = driver.open_sender(), driver.open_source(subscription)
    broker.stop()
    try:
        outcomes = sender.send([message(subscription.name, 1)])
        assert all(isinstance(outcome, NotSent) for outcome in outcomes)
    except BrokerDownError:
        pass
    with pytest.raises(BrokerDownError):
        driver.open_sender().send([message(subscription.name, 1)])
    sender.close()
    source.close()
    broker.start()
    assert send(driver, message(subscription.name, 2)) == [Sent()]


def test_an_empty_source_gives_nothing(driver: Driver, subscription: Subscription) -> None:
    source = driver.open_source(subscription)
    if source.kind == "log":
        positions = {partition: source.range_of(partition).first for partition in source.partitions()}
        assert not source.read(positions, limit=10, wait_seconds=0.0)
    else:
        assert not source.receive(limit=10, wait_seconds=0.0)
    source.close()
    source.close()


@pytest.fixture
def log(driver: Driver, broker: Harness, subscription: Subscription) -> LogSource:
    if broker.kind != "log":
        pytest.skip("a queue")
    source = driver.open_source(subscription)
    assert source.kind == "log"
    return source


@pytest.fixture
def queue(driver: Driver, broker: Harness, subscription: Subscription) -> QueueSource:
    if broker.kind != "queue":
        pytest.skip("a log")
    source = driver.open_source(subscription)
    assert source.kind == "queue"
    return source


def test_a_log_is_read_from_any_position_as_often_as_one_likes(
    driver: Driver, log: LogSource, subscription: Subscription
) -> None:
    send(driver, *(message(subscription.name, number) for number in range(5)))
    found = read_all(log, 5)
    assert [one.body for one in read_all(log, 5)] == [one.body for one in found]
    partition = found[0].partition
    again = collect(lambda limit: log.read({partition: found[3].position}, limit=limit, wait_seconds=1.0), 2)
    assert [one.position for one in again] == [found[3].position, found[4].position]
    behind = log.read({partition: found[4].next_position}, limit=5, wait_seconds=0.0)
    assert list(behind) == []
    log.record({partition: found[4].next_position})
    log.close()


def test_a_log_tells_its_bounds(driver: Driver, log: LogSource, subscription: Subscription) -> None:
    before = {partition: log.range_of(partition) for partition in log.partitions()}
    send(driver, *(message(subscription.name, number) for number in range(3)))
    found = read_all(log, 3)
    partition = found[0].partition
    after = log.range_of(partition)
    order = [log.order_of(one.position) for one in found]
    assert order == sorted(set(order))
    assert log.order_of(found[2].position) < log.order_of(found[2].next_position) <= log.order_of(after.end)
    assert log.lag(partition, found[0].position) in (3, None)
    assert log.lag(partition, after.end) in (0, None)
    assert not log.is_gap(partition, found[1].position, after.end)
    from_end = log.read({partition: before[partition].end}, limit=10, wait_seconds=1.0)
    assert [one.position for one in from_end] == [one.position for one in found]
    log.close()


def test_a_log_is_read_from_an_instant(driver: Driver, log: LogSource, subscription: Subscription) -> None:
    send(driver, message(subscription.name, 1))
    (found,) = read_all(log, 1)
    try:
        early = log.position_at(found.partition, datetime(2020, 1, 1, tzinfo=UTC))
    except NotImplementedError as error:
        pytest.skip(str(error))
    again = collect(lambda limit: log.read({found.partition: early}, limit=limit, wait_seconds=1.0), 1)
    assert again[0].position == found.position
    late = log.position_at(found.partition, datetime.now(UTC) + timedelta(days=1))
    assert not log.read({found.partition: late}, limit=1, wait_seconds=0.0)
    log.close()


def test_a_queue_gives_a_message_to_one_consumer_until_it_is_acknowledged(
    driver: Driver, queue: QueueSource, subscription: Subscription
) -> None:
    send(driver, message(subscription.name, 1), message(subscription.name, 2))
    first, second = collect(lambda limit: queue.receive(limit=limit, wait_seconds=1.0), 2)
    other = driver.open_source(subscription)
    assert other.kind == "queue"
    assert not other.receive(limit=5, wait_seconds=0.2)
    queue.acknowledge([first])
    queue.release([second])
    (again,) = collect(lambda limit: other.receive(limit=limit, wait_seconds=1.0), 1)
    assert again.body == second.body
    other.acknowledge([again])
    assert not queue.receive(limit=5, wait_seconds=0.2)
    other.close()
    queue.close()


def test_a_queue_delivers_again_what_its_consumer_left(
    broker: Harness, driver: Driver, queue: QueueSource, subscription: Subscription
) -> None:
    send(driver, message(subscription.name, 1))
    (taken,) = collect(lambda limit: queue.receive(limit=limit, wait_seconds=1.0), 1)
    queue.close()
    broker.redeliver(subscription.name)
    other = driver.open_source(subscription)
    assert other.kind == "queue"
    (again,) = collect(lambda limit: other.receive(limit=limit, wait_seconds=1.0), 1)
    assert (again.body, again.message_id) == (taken.body, taken.message_id)
    assert other.backlog() in (0, 1, None)
    other.acknowledge([again])
    other.close()
