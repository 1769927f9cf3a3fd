"""What only RabbitMQ does: exchanges, bindings, returns, channels that one message closes, headers of others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import amqp
import pytest

from django_jobs.brokers.connecting import driver_of
from django_jobs.brokers.interface import BrokerDownError, Driver, QueueSource, Refused, Sent, Subscription
from django_jobs.conf.brokers import as_brokers
from django_jobs.exceptions import ConfigurationError

from .contract import Harness
from .rabbitmq_queues import RabbitHarness
from .test_drivers import collect, message, send

with_server = pytest.mark.parametrize("running_broker", ["rabbitmq"], indirect=True)

pytestmark = pytest.mark.slow


def make(url: str, **options: Any) -> Driver:
    return driver_of(as_brokers("BROKERS", {"rabbit": {"url": url, "options": options}})["rabbit"])


def open_queue(driver: Driver, name: str, *bind: tuple[str, str]) -> QueueSource:
    source = driver.open_source(Subscription(broker="rabbit", name=name, group="", bind=bind))
    assert source.kind == "queue"
    return source


@pytest.fixture
def url(running_broker: Harness) -> str:
    return str(running_broker.settings["url"])


@pytest.fixture
def client(running_broker: Harness) -> Iterator[Any]:
    """A channel of the client itself."""
    assert isinstance(running_broker, RabbitHarness)
    with running_broker.connect() as connection:
        yield connection.channel()


@pytest.fixture
def exchange(client: Any) -> Iterator[str]:
    name = f"orders-{uuid4().hex[:8]}"
    client.exchange_declare(name, "topic", durable=True, auto_delete=False)
    yield name
    client.exchange_delete(name)


@with_server
def test_a_queue_is_created_and_bound_to_a_topic_exchange(url: str, client: Any, exchange: str) -> None:
    name = f"{exchange}-shipping"
    with pytest.raises(
        ConfigurationError, match=rf"BROKERS'\]\['rabbit'\]: expected a queue '{name}', .* there is none"
    ):
        open_queue(make(url), name)
    (unbound,) = send(make(url), message(f"{exchange}/order.eu.placed", 1))
    assert isinstance(unbound, Refused)
    assert not unbound.is_permanent
    assert "no queue is bound for 'order.eu.placed'" in unbound.reason

    source = open_queue(make(url, create_queues=True), name, (exchange, "order.*.placed"))
    destinations = [f"{exchange}/{key}" for key in ("order.eu.placed", "order.eu.paid", "order.us.placed")]
    eu, paid, us = send(make(url), *(message(where, number) for number, where in enumerate(destinations)))
    assert (eu, us) == (Sent(), Sent())
    assert isinstance(paid, Refused)
    found = collect(lambda limit: source.receive(limit=limit, wait_seconds=1.0), 2)
    assert [one.message_id for one in found] == ["id-0", "id-2"]
    source.acknowledge(found)
    source.close()
    with pytest.raises(amqp.PreconditionFailed, match="quorum"):
        client.queue_declare(name, durable=True, auto_delete=False)


@with_server
def test_an_exchange_that_is_not_there(url: str, topic: str) -> None:
    missing = [message("missing/order.placed", number) for number in range(3)]
    outcomes = send(make(url), message(topic, 7), *missing, message(topic, 8))
    assert [outcomes[0], outcomes[4]] == [Sent(), Sent()]
    for outcome in outcomes[1:4]:
        assert isinstance(outcome, Refused)
        assert "no exchange 'missing'" in outcome.reason
    with pytest.raises(ConfigurationError, match="expected an exchange 'missing'"):
        open_queue(make(url), topic, ("missing", "#"))


@with_server
def test_a_sender_goes_on_after_messages_that_closed_its_channel(broker: Harness, url: str, topic: str) -> None:
    assert broker.too_large is not None
    sender = make(url).open_sender()
    bodies = [b"x" * broker.too_large if number in (3, 11) else b"{}" for number in range(20)]
    outcomes = sender.send([message(topic, number, body=body) for number, body in enumerate(bodies)])
    refused = [number for number, outcome in enumerate(outcomes) if isinstance(outcome, Refused)]
    assert (refused, outcomes.count(Sent())) == ([3, 11], 18)
    assert sender.send([message(topic, 99)]) == [Sent()]
    sender.close()
    source = open_queue(make(url), topic)
    found = collect(lambda limit: source.receive(limit=limit, wait_seconds=1.0), 19)
    while more := source.receive(limit=100, wait_seconds=0.2):
        found += more
    assert {one.message_id for one in found} == {f"id-{number}" for number in (*range(20), 99)} - {"id-3", "id-11"}
    source.acknowledge(found)
    source.close()


@with_server
def test_headers_that_amqp_cannot_carry_are_refused_alone(url: str, topic: str) -> None:
    good = message(topic, 1)
    wide, long = replace(good, headers={"x": "y" * 200_000}), replace(good, headers={"n" * 300: "y"})
    outcomes = send(make(url), wide, good, long)
    assert outcomes[1] == Sent()
    assert all(isinstance(outcome, Refused) and outcome.is_permanent for outcome in (outcomes[0], outcomes[2]))


@with_server
def test_a_full_queue_refuses_what_it_does_not_take(url: str, client: Any, topic: str) -> None:
    name = f"{topic}-full"
    limits = {"x-max-length": 1, "x-overflow": "reject-publish"}
    client.queue_declare(name, durable=True, auto_delete=False, arguments=limits)
    driver = make(url)
    assert send(driver, message(name, 1)) == [Sent()]
    refused, other = send(driver, message(name, 2), message(topic, 3))
    assert isinstance(refused, Refused)
    assert not refused.is_permanent
    assert other == Sent()


@with_server
def test_a_message_of_others_is_read_with_its_headers_as_text(url: str, client: Any, topic: str) -> None:
    headers = {"number": 7, "flag": True, "raw": b"\xff", "list": [1], "text": "grün"}
    client.basic_publish(amqp.Message(b"{}", application_headers=headers, timestamp=1_800_000_000), "", topic)
    source = open_queue(make(url), topic)
    (found,) = collect(lambda limit: source.receive(limit=limit, wait_seconds=1.0), 1)
    assert found.headers == {"number": "7", "flag": "true", "text": "grün"}
    assert (found.message_id, found.key, found.content_type) == (None, None, "")
    assert found.sent_at == datetime.fromtimestamp(1_800_000_000, UTC)
    source.close()


@with_server
def test_only_what_is_acknowledged_is_gone(url: str, topic: str) -> None:
    driver = make(url)
    send(driver, *(message(topic, number) for number in range(6)))
    first = open_queue(driver, topic)
    found = collect(lambda limit: first.receive(limit=limit, wait_seconds=1.0), 5)
    first.acknowledge([found[0], found[1], found[3]])
    assert first.backlog() == 3
    first.release([found[2]])
    first.acknowledge([found[2]])
    first.close()
    second = open_queue(driver, topic)
    left = collect(lambda limit: second.receive(limit=limit, wait_seconds=1.0), 3)
    assert {one.message_id for one in left} == {"id-2", "id-4", "id-5"}
    second.acknowledge(left)
    assert second.backlog() == 0
    second.close()


@with_server
def test_a_queue_that_is_deleted_is_a_configuration_error_at_the_next_connection(
    url: str, client: Any, topic: str
) -> None:
    source = open_queue(make(url), topic)
    assert not source.receive(limit=1, wait_seconds=0)
    client.queue_delete(topic)
    with pytest.raises(BrokerDownError):
        source.receive(limit=1, wait_seconds=20.0)
    source.close()
    with pytest.raises(ConfigurationError, match=topic):
        open_queue(make(url), topic)


@with_server
def test_a_stream_is_refused_and_loses_nothing(url: str, client: Any, topic: str) -> None:
    name = f"{topic}-stream"
    client.queue_declare(name, durable=True, auto_delete=False, arguments={"x-queue-type": "stream"})
    source = open_queue(make(url), name)
    source.receive(limit=1, wait_seconds=0)
    assert send(make(url), message(name, 1)) == [Sent()]
    with pytest.raises(ConfigurationError, match="is a stream"):
        collect(lambda limit: source.receive(limit=limit, wait_seconds=1.0), 1)
    source.close()


@with_server
@pytest.mark.parametrize(("login", "path"), [("guest:wrong-one@", ""), ("guest:guest@", "missing-host")])
def test_a_login_that_is_refused_is_named_without_the_password(url: str, login: str, path: str) -> None:
    wrong = f"amqp://{login}{url.rpartition('@')[2]}{path}"
    settings = as_brokers("BROKERS", {"rabbit": {"url": wrong}})["rabbit"]
    with pytest.raises(ConfigurationError, match=r"BROKERS'\]\['rabbit'\]: expected a user, password and vir") as error:
        driver_of(settings).open_sender()
    assert "wrong-one" not in settings.hide(error.value)


@with_server
def test_the_next_host_is_tried_if_one_does_not_answer(url: str, topic: str) -> None:
    assert send(make(url.replace("@", "@127.0.0.1:1,")), message(topic, 1)) == [Sent()]


def test_nobody_answers() -> None:
    with pytest.raises(BrokerDownError, match=r"127\.0\.0\.1:1: "):
        make("amqp://127.0.0.1:1").open_sender()


@pytest.mark.parametrize(
    ("given", "text"),
    [({"group": "g"}, "group: .* has no groups"), ({"start": "latest"}, "start: "), ({"name": "n" * 256}, "name: ")],
)
def test_a_subscription_that_no_queue_can_have_is_refused(given: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        make("amqp://host").check(Subscription(**{"broker": "rabbit", "name": "q", "group": "", **given}))


def test_a_url_with_a_query_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="options"):
        make("amqp://host/?heartbeat=5").check(Subscription(broker="rabbit", name="q", group=""))
