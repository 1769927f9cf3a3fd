"""What only Kafka does: partitions, batches, options of librdkafka, logins, and messages that others have sent."""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import confluent_kafka
import pytest

from django_jobs.brokers.connecting import driver_of
from django_jobs.brokers.drivers.kafka.client_options import sender_options, source_options
from django_jobs.brokers.drivers.kafka.driver import KafkaDriver
from django_jobs.brokers.drivers.kafka.errors import Errors
from django_jobs.brokers.drivers.kafka.log import KafkaLog
from django_jobs.brokers.interface import (
    BrokerDownError,
    LogSource,
    NotSent,
    ReceivedMessage,
    Refused,
    Sent,
    Subscription,
)
from django_jobs.brokers.replaying import read_ranges
from django_jobs.conf.brokers import BrokerSettings, as_brokers
from django_jobs.exceptions import ConfigurationError
from tests.private.base import running
from tests.private.kafka import PrivateKafka

from .test_drivers import collect, message, send

OPTIONS = {"fetch.wait.max.ms": 50, "socket.timeout.ms": 5_000}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server() -> Iterator[PrivateKafka]:
    with running(PrivateKafka()) as server:
        yield server


@pytest.fixture
def topic(server: PrivateKafka) -> str:
    """A topic of three partitions."""
    name = f"orders-{uuid4().hex[:8]}"
    server.create_topic(name, partitions=3)
    return name


def broker_settings(url: str, **options: Any) -> BrokerSettings:
    return as_brokers("BROKERS", {"events": {"url": url, "options": {**OPTIONS, **options}}})["events"]


def connect(server: PrivateKafka, **options: Any) -> KafkaDriver:
    driver = driver_of(broker_settings(f"kafka://127.0.0.1:{server.port}", **options))
    assert isinstance(driver, KafkaDriver)
    return driver


def subscribe(topic: str = "orders", group: str = "") -> Subscription:
    return Subscription(broker="events", name=topic, group=group)


def read_to_the_end(log: LogSource, number: int) -> list[ReceivedMessage]:
    """Return so many messages of all partitions, from offset 0 on."""
    positions = dict.fromkeys(log.partitions(), "0")

    def read(limit: int) -> list[ReceivedMessage]:
        found = list(log.read(positions, limit=limit, wait_seconds=1.0))
        positions.update({one.partition: one.next_position for one in found})
        return found

    return collect(read, number)


def test_a_batch_keeps_the_order_of_each_key_over_partitions(server: PrivateKafka, topic: str) -> None:
    sent = [message(topic, number, key=f"key-{number % 7}") for number in range(500)]
    assert send(connect(server), *sent) == [Sent()] * 500
    log = connect(server).open_source(subscribe(topic))
    assert log.partitions() == ["0", "1", "2"]
    found = read_to_the_end(log, 500)
    log.close()
    assert len({one.partition for one in found}) > 1
    for number in range(7):
        key = f"key-{number}"
        assert [one.body for one in found if one.key == key] == [one.body for one in sent if one.key == key]
    first = found[0]
    assert (first.content_type, first.headers["ce_id"][:3]) == ("application/json", "id-")
    assert first.sent_at is not None
    assert abs(datetime.now(UTC) - first.sent_at) < timedelta(minutes=5)


def test_some_partitions_are_read_and_then_others(server: PrivateKafka, topic: str) -> None:
    send(connect(server), *(message(topic, number, key=str(number)) for number in range(60)))
    log = connect(server).open_source(subscribe(topic))
    everything = read_to_the_end(log, 60)
    for partition in log.partitions():
        mine = [one for one in everything if one.partition == partition]
        assert mine
        positions = {partition: "0"}
        again: list[ReceivedMessage] = []
        while len(again) < len(mine):
            again += log.read(positions, limit=60, wait_seconds=1.0)
            positions = {partition: again[-1].next_position if again else "0"}
        assert [one.body for one in again] == [one.body for one in mine]
    log.close()


def test_positions_are_committed_to_the_group_for_its_tools(server: PrivateKafka, topic: str) -> None:
    send(connect(server), message(topic, 1))
    log = connect(server).open_source(subscribe(topic, group="shipping"))
    (found,) = read_to_the_end(log, 1)
    log.record({found.partition: found.next_position})
    place = confluent_kafka.TopicPartition(topic, int(found.partition))
    tool = confluent_kafka.Consumer({"bootstrap.servers": f"127.0.0.1:{server.port}", "group.id": "shipping"})
    collect(lambda _: [found] if tool.committed([place], timeout=60)[0].offset == int(found.next_position) else [], 1)
    tool.close()
    log.close()


def test_a_message_of_others_is_read_as_it_is(server: PrivateKafka, topic: str) -> None:
    producer = confluent_kafka.Producer({"bootstrap.servers": f"127.0.0.1:{server.port}"})
    headers = [("note", "grün".encode()), ("raw", b"\xff"), ("none", None)]
    producer.produce(topic, value=None, key=b"\x00\x00\x00\x07", headers=headers, partition=0)
    producer.produce(topic, value=b"{}", key=b"\xff", partition=0)
    assert producer.flush(10) == 0
    log = connect(server).open_source(subscribe(topic))
    tombstone, plain = read_to_the_end(log, 2)
    log.close()
    assert (tombstone.body, tombstone.key, tombstone.headers) == (b"", "00000007", {"note": "grün", "none": ""})
    assert (plain.body, plain.key, plain.content_type) == (b"{}", "ff", "")


def test_a_range_that_ends_in_the_mark_of_a_transaction_is_read_to_its_end(server: PrivateKafka, topic: str) -> None:
    producer = confluent_kafka.Producer(
        {"bootstrap.servers": f"127.0.0.1:{server.port}", "transactional.id": topic, "batch.num.messages": 1}
    )
    producer.init_transactions(30)
    producer.begin_transaction()
    for number in range(3):
        producer.produce(topic, value=b"%d" % number, partition=0)
    producer.commit_transaction(30)
    log = connect(server).open_source(subscribe(topic))
    bounds = log.range_of("0")
    assert int(bounds.end) == 4
    batches = list(read_ranges(log, {"0": (bounds.first, bounds.end)}))
    assert [one.body for batch in batches for one in batch] == [b"0", b"1", b"2"]
    assert log.is_gap("0", "3", "4")
    assert not log.is_gap("0", "3", "5")
    log.close()


def test_a_topic_is_created_only_if_the_options_say_so(server: PrivateKafka) -> None:
    name = f"new-{uuid4().hex[:8]}"
    assert send(connect(server), message(name, 1)) == [Refused(reason=f"there is no topic {name!r}")]
    with pytest.raises(ConfigurationError, match=rf"BROKERS'\]\['events'\]: expected a topic '{name}'"):
        connect(server).open_source(subscribe(name))
    assert send(connect(server, **{"allow.auto.create.topics": True}), message(name, 1)) == [Sent()]
    connect(server).open_source(subscribe(name)).close()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"securty.protocol": "SSL"}, 'No such configuration property: "securty.protocol"'),
        ({"security.protocol": "TLS"}, 'Invalid value "TLS" for configuration property "security.protocol"'),
        ({"acks": 1}, "'acks' cannot be set: each message is confirmed by all replicas"),
        ({"group.id": "x"}, "'group.id' cannot be set: name it by group= of @consumes"),
        ({"socket.timeout.ms": "soon"}, r"\['socket.timeout.ms'\]: expected milliseconds above 0, got 'soon'"),
    ],
)
def test_a_wrong_option_is_named_without_network(options: dict[str, Any], expected: str) -> None:
    driver = driver_of(broker_settings("kafka://127.0.0.1:1", **options))
    with pytest.raises(ConfigurationError, match=rf"BROKERS'\]\['events'\]\['options'\].*{expected}"):
        driver.check(subscribe())
    with pytest.raises(ConfigurationError, match=expected):
        driver.open_sender()


def test_a_path_and_bind_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="with a path or a query"):
        driver_of(broker_settings("kafka://127.0.0.1:1/orders")).check(subscribe())
    bound = Subscription(broker="events", name="orders", group="", bind=(("orders", "#"),))
    with pytest.raises(ConfigurationError, match="no exchanges"):
        driver_of(broker_settings("kafka://127.0.0.1:1")).check(bound)


def test_the_login_in_the_url_crosses_no_network_in_the_clear_unless_the_options_say_so() -> None:
    settings = broker_settings("kafka://ada:s%40fe@one:9092,two:9092")
    for options in (sender_options(settings), source_options(settings, "g")):
        assert options["bootstrap.servers"] == "one:9092,two:9092"
        assert (options["sasl.username"], options["sasl.password"]) == ("ada", "s@fe")
        assert (options["security.protocol"], options["sasl.mechanisms"]) == ("SASL_SSL", "PLAIN")
    plain = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "SCRAM-SHA-512"}
    options = source_options(broker_settings("kafka://ada:x@one", **plain), "g")
    assert options["security.protocol"] == "SASL_PLAINTEXT"
    assert "sasl.mechanisms" not in options


def test_a_wrong_login_is_named_without_being_shown() -> None:
    server = PrivateKafka(has_users=True)
    try:
        server.start()
        scram = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "SCRAM-SHA-256"}
        settings = broker_settings(f"kafka://ada:wrong-one@127.0.0.1:{server.port}", **scram)
        for opening in (driver_of(settings).open_sender, lambda: driver_of(settings).open_source(subscribe())):
            with pytest.raises(ConfigurationError, match=r"'events'\]: expected a user, .* unknown-user") as error:
                opening()
            assert "wrong-one" not in str(error.value)
    finally:
        server.remove()


def test_a_login_that_breaks_off_with_the_connection_is_an_outage(server: PrivateKafka) -> None:
    """A server without logins ends the connection, as one that goes down does."""
    errors = Errors(confluent_kafka, label="x", seconds=1.0)
    text = "SASL PLAIN mechanism handshake failed: Local: Broker transport failure: supported mechanisms: (n/a)"
    errors.hear(confluent_kafka.KafkaError(confluent_kafka.KafkaError._AUTHENTICATION, text))
    with pytest.raises(BrokerDownError):
        errors.connect(_Silent(), _fail)


class _Silent:
    def poll(self, _: float) -> None:
        """Hear nothing more."""


def _fail(_: float) -> None:
    raise confluent_kafka.KafkaException(confluent_kafka.KafkaError(confluent_kafka.KafkaError._TRANSPORT))


@pytest.mark.parametrize(
    ("name", "kind", "is_permanent"),
    [
        ("MSG_SIZE_TOO_LARGE", Refused, True),
        ("TOPIC_AUTHORIZATION_FAILED", Refused, False),
        ("UNKNOWN_TOPIC_OR_PART", Refused, False),
        ("NOT_ENOUGH_REPLICAS", NotSent, None),
        ("_MSG_TIMED_OUT", NotSent, None),
        ("_TRANSPORT", NotSent, None),
    ],
)
def test_a_delivery_report_is_judged(name: str, kind: type, is_permanent: bool | None) -> None:
    error = confluent_kafka.KafkaError(getattr(confluent_kafka.KafkaError, name))
    outcome = Errors(confluent_kafka, label="x", seconds=1.0).outcome(error, "orders")
    assert isinstance(outcome, kind)
    assert getattr(outcome, "is_permanent", None) == is_permanent
    assert getattr(outcome, "reason", "")


def test_a_forked_child_leaves_the_clients_of_its_parent_alone(server: PrivateKafka, topic: str) -> None:
    sender = connect(server).open_sender()
    log: KafkaLog | None = connect(server).open_source(subscribe(topic))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads are what this test is about
        child = os.fork()
    if child == 0:
        del sender
        log = None
        gc.collect()
        outcomes = send(connect(server), message(topic, 2))
        os._exit(0 if outcomes == [Sent()] else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert sender.send([message(topic, 1)]) == [Sent()]
    sender.close()
    assert log is not None
    assert len(read_to_the_end(log, 2)) == 2
    log.close()


def test_an_outage_while_reading_is_told() -> None:
    server = PrivateKafka()
    try:
        server.start()
        server.create_topic("orders")
        log = connect(server, **{"socket.timeout.ms": 1_000}).open_source(subscribe())
        assert not log.read({"0": "0"}, limit=5, wait_seconds=0.0)
        server.crash()
        with pytest.raises(BrokerDownError):
            collect(lambda limit: log.read({"0": "0"}, limit=limit, wait_seconds=0.1), 1)
        log.close()
    finally:
        server.remove()


def test_nobody_answers() -> None:
    driver = driver_of(broker_settings("kafka://127.0.0.1:1"))
    with pytest.raises(BrokerDownError, match="refused"):
        driver.open_sender()
    with pytest.raises(BrokerDownError, match="refused"):
        driver.open_source(subscribe())
