"""The way of a message, out and in, through every driver and on every database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from django.db import transaction

from django_jobs import operations
from django_jobs.brokers import NewMessage, converting, publish, publish_many
from django_jobs.brokers.consumer import SourceConsumer
from django_jobs.brokers.interface import Driver, ReceivedMessage
from django_jobs.brokers.replaying import ReplayRange, replay
from django_jobs.brokers.status import read_overview
from django_jobs.brokers.subscriptions import Consumption
from django_jobs.exceptions import ConfigurationError
from django_jobs.models import (
    BrokerOutage,
    DeadLetter,
    Job,
    MessageConsumer,
    MessageSource,
    ReceivedId,
    SourcePartition,
)
from django_jobs.policy.states import State
from django_jobs.store.messages.sources import resume_source
from django_jobs.store.messages.status import read_broker_facts
from django_jobs.testing import drain
from tests.crashing import crash_at_every_point
from tests.factories import ago
from tests.sampleapp.consumed import ship

from .conftest import BROKER, Consume
from .contract import Harness
from .test_drivers import message, read_all, send

MONTH = 30 * 86_400

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _short_waits(broker: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django_jobs.brokers.readers.WAIT_SECONDS", broker.empty_seconds)
    monkeypatch.setattr("django_jobs.brokers.readers.BATCH_SECONDS", broker.empty_seconds / 2)


@pytest.fixture
def consumption(consume: Consume) -> Consumption:
    return consume()


@pytest.fixture
def consumer(consumption: Consumption) -> Iterator[SourceConsumer]:
    consumer = SourceConsumer(consumption)
    yield consumer
    consumer.close()


def take(consumer: SourceConsumer, number: int) -> list[int]:
    """Step until so many jobs have come; return the orders of all, in the order of the jobs."""
    for _ in range(100):
        if Job.objects.filter(name=ship.name).count() >= number:
            break
        consumer.step()
    return orders()


def orders() -> list[int]:
    return [job.arguments["order_id"] for job in Job.objects.filter(name=ship.name).order_by("pk")]


def step_over(consumer: SourceConsumer) -> None:
    """Step over what is there, and once more."""
    for _ in range(4):
        consumer.step()


def test_a_published_message_becomes_one_job(broker: Harness, topic: str, consumer: SourceConsumer) -> None:
    with transaction.atomic():
        (sending,) = publish(BROKER, topic, {"order_id": 7, "customer": "ada"}, key="ada", headers={"tenant": "eu"})
    drained = drain()
    assert (drained.succeeded, drained.errors) == (1, [])
    assert take(consumer, 1) == [7]
    step_over(consumer)
    (job,) = Job.objects.filter(name=ship.name)
    assert job.arguments == {"order_id": 7, "customer": "ada"}
    came_from = job.metadata["message"]
    assert (came_from["broker"], came_from["name"]) == (BROKER, topic)
    assert came_from.get("position") or (broker.kind == "queue" and came_from.get("id"))
    assert sending.queue_name == f"messages.{BROKER}"
    consumer.close()
    assert MessageSource.objects.get().received == 1


def test_a_message_that_is_rolled_back_is_not_sent(topic: str, consumer: SourceConsumer) -> None:
    with transaction.atomic():
        publish(BROKER, topic, {"order_id": 1})
        transaction.set_rollback(True)
    publish(BROKER, topic, {"order_id": 2})
    drain()
    assert take(consumer, 1) == [2]


def test_messages_become_jobs_in_their_order(topic: str, consumer: SourceConsumer) -> None:
    publish_many(BROKER, topic, [NewMessage({"order_id": number}, key="one") for number in range(30)])
    drain()
    assert take(consumer, 30) == list(range(30))


def test_a_second_delivery_makes_no_second_job(broker: Harness, topic: str, driver: Driver, consume: Consume) -> None:
    """A consumer is killed between its commit and the acknowledgement."""
    consumption = consume()
    send(driver, message(topic, 1, body=b'{"order_id": 1}'))
    consumer = SourceConsumer(consumption)
    reader = consumer.connect()
    reader._source.acknowledge = reader._source.record = lambda _: None  # type: ignore[attr-defined]
    assert take(consumer, 1) == [1]
    consumer.close()
    broker.redeliver(topic)
    other = SourceConsumer(consumption)
    send(driver, message(topic, 2, body=b'{"order_id": 2}'))
    assert take(other, 2) == [1, 2]
    step_over(other)
    assert orders() == [1, 2]
    other.close()
    assert MessageSource.objects.get().duplicates == (broker.kind == "queue")


def test_a_copy_makes_no_second_job_where_ids_are_compared(
    broker: Harness, topic: str, driver: Driver, consume: Consume
) -> None:
    """A copy that a log keeps, in the same batch or a later one, with ``deduplicate=True``."""
    consumer = SourceConsumer(consume(deduplicate=True))
    copies = [message(topic, 1, body=b'{"order_id": 1}'), message(topic, 2, body=b'{"order_id": 2}')]
    send(driver, *copies, copies[0])
    assert take(consumer, 2) == [1, 2]
    send(driver, copies[1], message(topic, 3, body=b'{"order_id": 3}'))
    assert take(consumer, 3) == [1, 2, 3]
    consumer.close()
    if broker.kind == "log":  # some queues pass over copies themselves
        assert MessageSource.objects.get().duplicates == 2


def test_a_message_that_was_sent_twice_has_one_id(
    broker: Harness, topic: str, driver: Driver, consume: Consume
) -> None:
    """The relay was killed between the broker's confirmation and its own commit: a queue's inbox knows the id."""
    consumer = SourceConsumer(consume())
    sent = message(topic, 1, body=b'{"order_id": 1}')
    send(driver, sent, sent, message(topic, 2, body=b'{"order_id": 2}'))
    expected = [1, 2] if broker.kind == "queue" else [1, 1, 2]
    assert take(consumer, len(expected)) == expected
    step_over(consumer)
    assert orders() == expected
    consumer.close()


def test_what_is_not_committed_is_not_acknowledged(
    broker: Harness, topic: str, consumption: Consumption, consumer: SourceConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(BROKER, topic, {"order_id": 2})
    drain()

    class DiedError(Exception):
        pass

    def die(*_: Any, **__: Any) -> Any:
        raise DiedError

    with monkeypatch.context() as patch:
        patch.setattr(converting, "enqueue_ids", die)
        with pytest.raises(DiedError):
            step_over(consumer)
    assert (orders(), ReceivedId.objects.exists()) == ([], False)
    consumer.close()
    broker.redeliver(topic)
    other = SourceConsumer(consumption)
    assert take(other, 1) == [2]
    other.close()


def test_a_batch_is_taken_once_wherever_its_consumer_is_killed(
    broker: Harness, driver: Driver, consumption: Consumption
) -> None:
    numbers = count()

    def prepare() -> tuple[Consumption, list[int]]:
        subscription = replace(consumption.subscription, name=broker.new_topic())
        sent = [next(numbers) for _ in range(3)]
        send(driver, *(message(subscription.name, one, body=b'{"order_id": %d}' % one) for one in sent))
        return replace(consumption, source=replace(consumption.source, subscription=subscription)), sent

    def read(prepared: tuple[Consumption, list[int]]) -> SourceConsumer:
        consumer, sent = SourceConsumer(prepared[0]), prepared[1]
        for _ in range(100):
            if set(sent) <= set(orders()):
                break
            consumer.step()
        consumer.step()
        return consumer

    for point, prepared in crash_at_every_point(prepare, read):
        broker.redeliver(prepared[0].subscription.name)
        MessageConsumer.objects.update(heartbeat_at=ago(hours=1))
        SourcePartition.objects.update(owned_until=ago(hours=1))
        read(prepared).close()
        assert sorted(one for one in orders() if one in prepared[1]) == prepared[1], point


def test_a_message_that_fails_holds_back_its_key_only(broker: Harness, topic: str) -> None:
    missing = f"{topic}-missing"
    publish_many(BROKER, missing, [NewMessage({"order_id": 1}, key="a"), NewMessage({"order_id": 2}, key="a")])
    publish(BROKER, topic, {"order_id": 3}, key="b")
    drain()
    sending = {job.arguments["argument"]["body"]["order_id"]: job for job in Job.objects.all()}
    assert sending[3].state == State.SUCCEEDED
    assert (sending[1].state, sending[1].attempt) in [(State.SCHEDULED, 1), (State.DEAD, 1)]
    if sending[1].state == State.SCHEDULED:
        assert (sending[2].state, sending[2].attempt) == (State.BLOCKED, 0)


def test_a_dead_message_holds_back_its_key_until_it_is_redriven_if_the_broker_says_so(
    broker: Harness, topic: str, settings: Any
) -> None:
    missing = f"{topic}-missing"
    settings.DJANGO_JOBS = {"BROKERS": {BROKER: {**broker.settings, "on_dead_message": "hold_key"}}}
    (dead,) = publish(BROKER, missing, {"order_id": 1}, key="a")
    (second,) = publish(BROKER, missing, {"order_id": 2}, key="a")
    (other,) = publish(BROKER, missing, {"order_id": 3}, key="b")
    drain(until=MONTH)
    assert [job.refresh().state for job in (dead, second, other)] == [State.DEAD, State.BLOCKED, State.DEAD]
    (state,) = read_overview().brokers
    assert state.held_by_dead == {dead.pk: 1}
    assert read_broker_facts().held_by_dead == {BROKER: 1}
    operations.redrive(dead)
    operations.resolve(DeadLetter.objects.get(job=other))
    drain(until=MONTH)
    assert [job.refresh().state for job in (dead, second)] == [State.DEAD, State.BLOCKED]
    operations.resolve(DeadLetter.objects.filter(job=dead))
    drain(until=MONTH)
    assert second.refresh().state == State.DEAD


def test_a_broker_that_is_down_uses_up_no_attempt(broker: Harness, topic: str, consumer: SourceConsumer) -> None:
    publish_many(BROKER, topic, [NewMessage({"order_id": number}, key=str(number)) for number in range(5)])
    broker.stop()
    drain()
    assert {(job.state, job.attempt) for job in Job.objects.all()} == {(State.SCHEDULED, 0)}
    assert not DeadLetter.objects.exists()
    outage = BrokerOutage.objects.get()
    assert (outage.broker, bool(outage.error)) == (BROKER, True)
    broker.start()
    drain(until=120)
    assert {job.state for job in Job.objects.all()} == {State.SUCCEEDED}
    assert not BrokerOutage.objects.exists()
    assert sorted(take(consumer, 5)) == list(range(5))


def test_poison_is_a_dead_letter_and_reading_goes_on(topic: str, driver: Driver, consumer: SourceConsumer) -> None:
    bodies = [b"\xff\xfe", b"[1]", b'{"order": 1}', b'{"order_id": NaN}', b'{"order_id": 5}']
    send(driver, *(message(topic, number, body=body) for number, body in enumerate(bodies)))
    assert take(consumer, 1) == [5]
    drain()
    reasons = [letter.error_message for letter in DeadLetter.objects.order_by("pk")]
    assert len(reasons) == 4
    for reason, expected in zip(reasons, ["no UTF-8", "an array", "order_id", "NaN"], strict=True):
        assert expected in reason
        assert topic in reason
    consumer.close()
    assert MessageSource.objects.get().poison == 4


def test_poison_that_fits_todays_code_becomes_its_job(topic: str, driver: Driver, consume: Consume) -> None:
    consumption = consume()
    send(driver, message(topic, 1, body=b'{"number": 3}'))
    consumer = SourceConsumer(consumption)
    for _ in range(20):
        consumer.step()
        if Job.objects.exists():
            break
    consumer.close()
    drain()
    poison = DeadLetter.objects.get()
    vars(ship.function).pop("_django_jobs_consumes")
    consume(decode=lambda received: {"order_id": json.loads(received.body)["number"]})
    assert operations.redrive(DeadLetter.objects.filter(pk=poison.pk), by="ada") == 1
    drain()
    assert orders() == [3]


def test_poison_stops_its_partition_if_that_is_wanted(topic: str, driver: Driver, consume: Consume) -> None:
    consumer = SourceConsumer(consume(on_poison="stop"))
    bodies = [b'{"order_id": 1}', b"no", b'{"order_id": 3}']
    send(driver, *(message(topic, number, body=body) for number, body in enumerate(bodies)))
    assert take(consumer, 1) == [1]
    step_over(consumer)
    assert orders() == [1]
    source = MessageSource.objects.get()
    reasons = [source.stopped_reason, *SourcePartition.objects.values_list("stopped_reason", flat=True)]
    assert any("no JSON" in reason for reason in reasons)
    consumer.close()
    assert resume_source(source.pk)
    vars(ship.function).pop("_django_jobs_consumes")
    other = SourceConsumer(consume())
    assert take(other, 2) == [1, 3]
    other.close()


def test_reading_pauses_while_too_many_jobs_wait(topic: str, driver: Driver, consume: Consume) -> None:
    consumer = SourceConsumer(consume(max_waiting=1))
    send(driver, message(topic, 1, body=b'{"order_id": 1}'))
    assert take(consumer, 1) == [1]
    send(driver, message(topic, 2, body=b'{"order_id": 2}'))
    step_over(consumer)
    assert orders() == [1]
    drain()
    assert take(consumer, 2) == [1, 2]
    consumer.close()


def test_a_batch_of_large_messages_has_fewer_of_them(
    topic: str, driver: Driver, consumer: SourceConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("django_jobs.policy.message_batches.MAX_BYTES", 500)
    body = b'{"order_id": %d, "customer": "' + b"a" * 70 + b'"}'
    send(driver, *(message(topic, number, body=body % number) for number in range(20)))
    assert take(consumer, 20) == list(range(20))
    send(driver, *(message(topic, number, body=body % number) for number in range(20, 40)))
    assert len(take(consumer, 21)) in range(21, 26)
    assert take(consumer, 40) == list(range(40))


def test_a_range_of_a_log_is_replayed_and_the_position_stays(
    broker: Harness, topic: str, driver: Driver, consumption: Consumption
) -> None:
    if broker.kind == "queue":
        with pytest.raises(ConfigurationError, match="forgets a message"):
            replay(consumption, ReplayRange())
        return
    consumer = SourceConsumer(consumption)
    send(driver, *(message(topic, number, body=b'{"order_id": %d}' % number) for number in range(5)))
    assert take(consumer, 5) == [0, 1, 2, 3, 4]
    consumer.close()
    (row,) = SourcePartition.objects.all()
    reader = driver.open_source(consumption.subscription)
    found = read_all(reader, 5)
    reader.close()
    wanted = ReplayRange(partition=row.partition, start=found[1].position, end=found[3].position)
    assert replay(consumption, wanted, dry_run=True).jobs == 2
    assert len(orders()) == 5
    assert replay(consumption, wanted).jobs == 2
    assert orders() == [0, 1, 2, 3, 4, 1, 2]
    source = {"broker": BROKER, "name": topic} | ({"group": broker.group} if broker.group else {})
    places = [{"partition": row.partition, "position": found[number].position} for number in (1, 2)]
    assert [job.metadata["message"] for job in Job.objects.order_by("pk")][5:] == [
        {**source, "replay": True, **place} for place in places
    ]
    assert replay(consumption, ReplayRange(since=ago(days=1)), dry_run=True).jobs in (0, 5)
    assert SourcePartition.objects.get().next_position == row.next_position


def test_an_id_of_others_is_kept_whatever_characters_it_has(consumption: Consumption) -> None:
    odd = ReceivedMessage(body=b'{"order_id": 1}', headers={"ce-id": "a\0\ud800"})
    ((job,), _) = converting.enqueue_as_jobs(consumption, [odd])
    assert job.refresh().metadata["message"]["id"] == "a\\x00\\ud800"
