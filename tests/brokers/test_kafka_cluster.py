"""Several Kafka brokers: one that goes down, a leader that moves, an address that does not answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from uuid import uuid4

import pytest

from django_jobs.brokers.connecting import driver_of
from django_jobs.brokers.interface import (
    BrokerDownError,
    Driver,
    LogSource,
    NotSent,
    OutgoingMessage,
    Sent,
    Subscription,
)
from django_jobs.conf.brokers import as_brokers

from .kafka_cluster import KafkaCluster
from .test_drivers import collect, message, send

pytestmark = pytest.mark.slow

WAITS = {"fetch.wait.max.ms": 50, "socket.timeout.ms": 5_000, "message.timeout.ms": 3_000}


@pytest.fixture(scope="module")
def running_cluster() -> Iterator[KafkaCluster]:
    with closing(KafkaCluster(3)) as cluster:
        yield cluster


@pytest.fixture
def cluster(running_cluster: KafkaCluster) -> Iterator[KafkaCluster]:
    """Three brokers, all of which answer."""
    yield running_cluster
    for broker in (1, 2, 3):
        running_cluster.bring_up(broker)


@pytest.fixture
def topic(cluster: KafkaCluster) -> str:
    """A topic with a partition at each broker."""
    name = f"orders-{uuid4().hex[:8]}"
    cluster.create_topic(name, partitions=3)
    return name


def make(addresses: str, **options: Any) -> Driver:
    options = WAITS | options
    return driver_of(as_brokers("BROKERS", {"events": {"url": f"kafka://{addresses}", "options": options}})["events"])


def open_log(driver: Driver, topic: str) -> LogSource:
    source = driver.open_source(Subscription(broker="events", name=topic, group=""))
    assert source.kind == "log"
    return source


def keyed(topic: str, numbers: range) -> list[OutgoingMessage]:
    """Messages of as many keys, which meet all partitions."""
    return [message(topic, number, key=f"key-{number}") for number in numbers]


def ids_of(log: LogSource, number: int) -> tuple[Counter[str], set[str]]:
    """Return how often each id is in the log, of so many messages, and the partitions in which they are."""
    positions = {partition: log.range_of(partition).first for partition in log.partitions()}

    def read(limit: int) -> Any:
        found = log.read(positions, limit=limit, wait_seconds=1.0)
        positions.update({one.partition: one.next_position for one in found})
        return found

    found = collect(read, number)
    return Counter(one.headers["ce_id"] for one in found), {one.partition for one in found}


def test_a_batch_goes_on_to_the_new_leaders_of_a_broker_that_went_down(cluster: KafkaCluster, topic: str) -> None:
    driver = make(cluster.addresses)
    sender = driver.open_sender()
    assert set(sender.send(keyed(topic, range(30)))) == {Sent()}
    cluster.take_down(1)
    cluster.move_leader(topic, 0, 2)
    assert set(sender.send(keyed(topic, range(30, 60)))) == {Sent()}
    sender.close()
    log = open_log(driver, topic)
    ids, partitions = ids_of(log, 60)
    assert ids == Counter([f"id-{number}" for number in range(60)])
    assert partitions == {"0", "1", "2"}
    log.close()


def test_only_what_a_dead_broker_leads_is_not_sent(cluster: KafkaCluster, topic: str) -> None:
    driver = make(cluster.addresses)
    sender = driver.open_sender()
    assert set(sender.send(keyed(topic, range(30)))) == {Sent()}
    cluster.take_down(2)
    batch = keyed(topic, range(30, 60))
    outcomes = sender.send(batch)
    sender.close()
    left = [one for one, outcome in zip(batch, outcomes, strict=True) if isinstance(outcome, NotSent)]
    assert 0 < len(left) < 30
    assert outcomes.count(Sent()) == 30 - len(left)
    cluster.bring_up(2)
    assert set(send(driver, *left)) == {Sent()}
    log = open_log(driver, topic)
    ids, _ = ids_of(log, 60)
    assert set(ids) == {f"id-{number}" for number in range(60)}
    log.close()


def test_a_log_is_read_on_from_the_new_leader(cluster: KafkaCluster, topic: str) -> None:
    driver = make(cluster.addresses)
    send(driver, *keyed(topic, range(30)))
    log = open_log(driver, topic)
    ids_of(log, 30)
    cluster.take_down(3)
    cluster.move_leader(topic, 2, 1)
    ids, partitions = ids_of(log, 30)
    assert ids == Counter([f"id-{number}" for number in range(30)])
    assert partitions == {"0", "1", "2"}
    log.close()


def test_one_address_that_answers_is_enough(cluster: KafkaCluster, topic: str) -> None:
    first = cluster.addresses.split(",")[0]
    driver = make(f"127.0.0.1:1,{first}")
    assert set(send(driver, *keyed(topic, range(30)))) == {Sent()}
    log = open_log(driver, topic)
    assert len(ids_of(log, 30)[0]) == 30
    log.close()


def test_no_address_answers() -> None:
    with pytest.raises(BrokerDownError):
        make("127.0.0.1:1,127.0.0.1:2").open_sender()
