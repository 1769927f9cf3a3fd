"""How many statements and commits messages take: numbers that only go down. No broker is asked."""

from __future__ import annotations

from typing import Any

import pytest

from django_jobs import job
from django_jobs.brokers import NewMessage, publish, publish_many
from django_jobs.brokers.intake import take_from_log, take_from_queue
from django_jobs.brokers.interface import ReceivedMessage, Subscription
from django_jobs.brokers.subscriptions import ConsumedSource, Consumption
from django_jobs.models import Job
from django_jobs.store.messages.positions import ensure_partitions
from django_jobs.store.messages.sources import ensure_source
from tests.sampleapp.consumed import ship
from tests.statements import Counted, counted

from .conftest import BROKER

pytestmark = pytest.mark.django_db(transaction=True)

BATCH = 100
KEYED = (3, 1)
"""Jobs, permits, and a signal to the limits."""
TAKEN = (2, 1)
"""The position, or the ids, and the jobs."""


def cost(found: Counted) -> tuple[int, int]:
    """Return statements and commits; not a notification of its own, which PostgreSQL is sent only now and then."""
    alone = sum(text.startswith("SELECT pg_notify") for text in found.texts)
    return found.statements - alone, found.commits - alone


@pytest.fixture(autouse=True)
def _broker(settings: Any) -> None:
    settings.DJANGO_JOBS = {"BROKERS": {BROKER: {"url": "redis://127.0.0.1:1/0"}}}


@job(name="costs.plain")
def plain(x: int) -> None:
    """Do nothing."""


@pytest.fixture
def source() -> tuple[Consumption, int]:
    subscription = Subscription(broker=BROKER, name="orders", group="")
    consumed = ConsumedSource(subscription=subscription, on_poison="dead_letter", max_waiting=10**6, decode=None)
    return Consumption(source=consumed, definition=ship), ensure_source(BROKER, "orders", "").pk


def messages() -> list[ReceivedMessage]:
    return [
        ReceivedMessage(
            body=b'{"order_id": %d}' % number,
            message_id=f"id-{number}",
            partition="0",
            position=str(number),
            next_position=str(number + 1),
        )
        for number in range(BATCH)
    ]


def test_a_message_without_a_key_costs_what_an_enqueue_costs() -> None:
    publish(BROKER, "orders", {"order_id": 0})
    plain.enqueue(0)
    with counted() as enqueued:
        plain.enqueue(1)
    with counted() as published:
        publish(BROKER, "orders", {"order_id": 1})
    assert cost(published) == cost(enqueued), published.texts
    with counted() as enqueued:
        plain.enqueue_many([{"x": x} for x in range(BATCH)])
    with counted() as published:
        publish_many(BROKER, "orders", [NewMessage({"order_id": x}) for x in range(BATCH)])
    assert cost(published) == cost(enqueued), published.texts


def test_messages_with_keys_are_published_in_a_fixed_number_of_statements() -> None:
    counts = []
    for number in (1, BATCH):
        with counted() as published:
            publish_many(BROKER, "orders", [NewMessage({"order_id": x}, key=str(x)) for x in range(number)])
        counts.append(cost(published))
    assert counts == [KEYED, KEYED], published.texts


def test_a_batch_of_a_log_is_one_transaction(source: tuple[Consumption, int]) -> None:
    consumption, source_id = source
    ensure_partitions(source_id, {"0": "0"})
    with counted() as taken:
        assert take_from_log(consumption, source_id, messages(), {"0": "0"}).jobs == BATCH
    assert cost(taken) == TAKEN, taken.texts
    assert Job.objects.filter(name=ship.name).count() == BATCH


def test_a_batch_of_a_queue_is_one_transaction(source: tuple[Consumption, int]) -> None:
    consumption, source_id = source
    with counted() as taken:
        assert take_from_queue(consumption, source_id, messages()).jobs == BATCH
    assert cost(taken) == TAKEN, taken.texts
    with counted() as again:
        assert take_from_queue(consumption, source_id, messages()).duplicates == BATCH
    assert cost(again) == (1, 1), again.texts
