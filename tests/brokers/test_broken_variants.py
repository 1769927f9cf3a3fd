"""Variants that are broken on purpose, each caught by what the contract suite asks, and by the audit of chaos.

The fakes stand for all drivers.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from django_jobs.brokers import readers
from django_jobs.brokers.consumer import SourceConsumer
from django_jobs.brokers.intake import PositionMovedError, take_from_log
from django_jobs.brokers.interface import Driver
from django_jobs.brokers.subscriptions import Consumption
from django_jobs.models import SourcePartition
from django_jobs.store.messages import inbox, positions
from tests.chaos.messages.audit import MessageFacts, Record, audit

from .conftest import Consume
from .contract import FakeHarness
from .test_drivers import message, send
from .test_messages import orders, step_over, take

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "WAIT_SECONDS", 0.02)
    monkeypatch.setattr(readers, "BATCH_SECONDS", 0.01)


@pytest.fixture
def fake_of(broker: object, driver: Driver, topic: str, consume: Consume) -> tuple[FakeHarness, Consumption]:
    if not isinstance(broker, FakeHarness):
        pytest.skip("the fakes stand for all drivers")
    send(driver, *(message(topic, number, body=b'{"order_id": %d}' % number) for number in range(3)))
    return broker, consume()


Fake = tuple[FakeHarness, Consumption]


def broken_promises(broker: FakeHarness, received: list[int]) -> set[str]:
    """Return what the audit of chaos says, by names, where three messages were sent and these orders have come."""
    records = [Record(number=number, key="k", id=f"id-{number}") for number in range(3)]
    facts = MessageFacts(kind=broker.kind, committed=frozenset(range(3)), records=records, received=received)
    return {finding.partition(":")[0] for finding in audit(facts)}


def kill_in_the_transaction(broker: FakeHarness, consumption: Consumption, patch: pytest.MonkeyPatch) -> list[int]:
    """Return the orders that come although the first consumer dies while it inserts the jobs."""

    class DiedError(Exception):
        pass

    def die(*_: Any, **__: Any) -> Any:
        raise DiedError

    with patch.context() as dying:
        dying.setattr("django_jobs.brokers.converting.enqueue_ids", die)
        consumer = SourceConsumer(consumption)
        with pytest.raises(DiedError):
            step_over(consumer)
    consumer.close()
    broker.redeliver("")
    other = SourceConsumer(consumption)
    step_over(other)
    other.close()
    return orders()


def wake_a_zombie(driver: Driver, consumption: Consumption) -> list[int]:
    """Return the orders after a frozen consumer, whose batch another has taken meanwhile, goes on with it."""
    zombie = SourceConsumer(consumption)
    zombie._read_row()
    reader = zombie.connect()
    reader.sync()
    frozen = dict(reader._positions)  # type: ignore[attr-defined]
    batch = reader._source.read(frozen, limit=10, wait_seconds=0.0)  # type: ignore[attr-defined]
    SourcePartition.objects.update(owner=None, owned_until=None)
    other = SourceConsumer(consumption)
    take(other, 3)
    other.close()
    with suppress(PositionMovedError):
        take_from_log(consumption, SourcePartition.objects.get().source_id, batch, frozen)
    zombie.close()
    return orders()


def deliver_twice(broker: FakeHarness, consumption: Consumption) -> list[int]:
    """Return the orders after a consumer that dies before it acknowledges."""
    consumer = SourceConsumer(consumption)
    reader = consumer.connect()
    reader._source.acknowledge = lambda _: None  # type: ignore[attr-defined]
    take(consumer, 3)
    consumer.close()
    broker.redeliver("")
    other = SourceConsumer(consumption)
    step_over(other)
    other.close()
    return orders()


def test_to_acknowledge_first_loses_messages(fake_of: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    broker, consumption = fake_of
    if broker.kind != "queue":
        pytest.skip("a log has its position in the transaction")
    whole = readers.take_from_queue

    def acknowledge_first(self: readers.QueueReader) -> Any:
        messages = self._source.receive(limit=10, wait_seconds=0.0)
        self._source.acknowledge(messages)
        return whole(self._consumption, self._source_id, messages, using=self._using) if messages else None

    with monkeypatch.context() as broken:
        broken.setattr(readers.QueueReader, "read", acknowledge_first)
        received = kill_in_the_transaction(broker, consumption, monkeypatch)
    assert received == []
    assert broken_promises(broker, received) == {"what_was_sent_is_received"}


def test_what_is_killed_in_the_transaction_comes_again(fake_of: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    received = kill_in_the_transaction(*fake_of, monkeypatch)
    assert received == [0, 1, 2]
    assert broken_promises(fake_of[0], received) == set()


@pytest.mark.parametrize("is_guarded", [True, False])
def test_a_frozen_consumer_that_wakes_writes_nothing_thanks_to_the_guard(
    fake_of: Fake, driver: Driver, monkeypatch: pytest.MonkeyPatch, *, is_guarded: bool
) -> None:
    broker, consumption = fake_of
    if broker.kind != "log":
        pytest.skip("a queue has no position")
    if not is_guarded:

        def move(source_id: int, partition: str, *, read_from: str, next_position: str, using: str | None) -> bool:
            rows = SourcePartition.objects.filter(source=source_id, partition=partition)
            return bool(rows.update(next_position=next_position))

        monkeypatch.setattr(positions, "move_position", move)
    received = wake_a_zombie(driver, consumption)
    assert received == ([0, 1, 2] if is_guarded else [0, 1, 2, 0, 1, 2])
    assert broken_promises(broker, received) == (set() if is_guarded else {"each_delivery_is_one_job"})


@pytest.mark.parametrize("has_inbox", [True, False])
def test_a_second_delivery_makes_no_job_thanks_to_the_inbox(
    fake_of: Fake, monkeypatch: pytest.MonkeyPatch, *, has_inbox: bool
) -> None:
    broker, consumption = fake_of
    if broker.kind != "queue":
        pytest.skip("a log has positions")
    if not has_inbox:
        monkeypatch.setattr(inbox, "insert_new_ids", lambda source_id, ids, *, using: set(ids))
    received = deliver_twice(broker, consumption)
    assert received == ([0, 1, 2] if has_inbox else [0, 1, 2, 0, 1, 2])
    assert broken_promises(broker, received) == (set() if has_inbox else {"each_delivery_is_one_job"})
