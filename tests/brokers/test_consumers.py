"""Consumers of a log that is down or whose other consumer is dead: pauses, and who reads its partitions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from django_jobs import checks
from django_jobs.brokers import consumes, readers
from django_jobs.brokers.consumer import SourceConsumer
from django_jobs.brokers.interface import OutgoingMessage
from django_jobs.brokers.subscriptions import consumptions
from django_jobs.exceptions import ConfigurationError
from django_jobs.models import Job, SourcePartition
from tests.factories import ago
from tests.sampleapp.consumed import ship

from . import fake

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def log(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[fake.Broker]:
    """A log with one order."""
    monkeypatch.setattr(readers, "WAIT_SECONDS", 0.01)
    fake.register()
    broker = fake.Broker(tmp_path / "broker")
    broker.create("orders")
    settings.DJANGO_JOBS = {
        "BROKERS": {
            "events": {"url": f"fakelog://{tmp_path}/broker"},
            "queues": {"url": f"fakequeue://{tmp_path}/broker"},
        }
    }
    broker.append("orders", OutgoingMessage(destination="orders", body=b'{"order_id": 1}', attributes={"id": "1"}))
    yield broker
    vars(ship.function).pop("_django_jobs_consumes", None)


def consumer_of(broker: str = "events", **options: Any) -> SourceConsumer:
    consumes(broker, "orders", **options)(ship)
    (consumption,) = consumptions(broker)
    return SourceConsumer(consumption)


def owned_seconds() -> float:
    until = SourcePartition.objects.get().owned_until
    assert until is not None
    return (until - ago()).total_seconds()


def test_a_consumer_looks_again_soon_however_long_its_broker_is_down(
    log: fake.Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept = [0.0]
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + sum(slept))
    monkeypatch.setattr("django_jobs.brokers.consumer.time", clock)
    consumer = consumer_of()
    log.stop()
    pauses = []
    for _ in range(8):
        pauses.append(consumer.step())
        slept.append(pauses[-1])
    assert pauses[0] == 1.0
    assert pauses[-3:] == [10.0, 10.0, 10.0]
    log.start()
    assert consumer.step() == 0.0
    assert Job.objects.filter(name=ship.name).count() == 1
    log.stop()
    assert consumer.step() == 1.0  # a new outage
    consumer.close()


def test_partitions_of_a_dead_consumer_are_read_by_others_after_takeover_after(log: fake.Broker) -> None:
    dead = consumer_of(takeover_after=timedelta(minutes=10))
    dead.connect().sync()
    assert 500 < owned_seconds() <= 600
    other = SourceConsumer(dead.consumption)
    other.step()
    assert not Job.objects.exists()
    SourcePartition.objects.update(owned_until=ago(seconds=1))
    other._sync_at = 0.0
    other.step()
    assert Job.objects.filter(name=ship.name).count() == 1
    other.close()


def test_partitions_are_owned_for_some_seconds_by_default(log: fake.Broker) -> None:
    consumer = consumer_of()
    consumer.connect().sync()
    assert owned_seconds() <= readers.OWNED_SECONDS
    consumer.close()


def test_a_queue_has_no_takeover(log: fake.Broker) -> None:
    with pytest.raises(ConfigurationError, match=r"queues/orders: takeover_after: expected a log, got a queue"):
        consumer_of("queues", takeover_after=60).connect()
    (message,) = checks.check_consumers()
    assert message.id == "django_jobs.E006"
    assert "queues/orders: takeover_after: expected a log, got a queue" in message.msg


@pytest.mark.parametrize(
    ("url", "options", "kind"),
    [
        ("amqp://localhost", {}, "queue"),
        ("amqp://localhost", {"stream": True}, "log"),
        ("redis://localhost", {}, "log"),
        ("redis://localhost", {"group": "shop"}, "queue"),
        ("kafka://localhost", {}, "log"),
    ],
)
def test_the_check_knows_which_sources_are_logs(
    log: fake.Broker, settings: Any, url: str, options: dict[str, Any], kind: str
) -> None:
    settings.DJANGO_JOBS = {"BROKERS": {"events": {"url": url}}}
    consumer_of(takeover_after=60, **options)
    messages = [message.msg for message in checks.check_consumers()]
    assert ["takeover_after: expected a log" in message for message in messages] == [True] * (kind == "queue")


@pytest.mark.parametrize("wrong", [0, 4.9, 3601, "15", True])
def test_a_wrong_takeover_after_is_named(wrong: object) -> None:
    with pytest.raises(ConfigurationError, match=r"@consumes\('events', 'orders'\) of .*takeover_after: expected"):
        consumer_of(takeover_after=wrong)


def test_batches_of_a_slow_queue_are_acknowledged_before_others_get_their_messages(
    log: fake.Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the messages of a batch would go round: each consumer's are given to the next one."""
    redeliver_seconds, per_message = 3.0, 0.05
    for number in range(2, 301):
        body = b'{"order_id": %d}' % number
        log.append("orders", OutgoingMessage(destination="orders", body=body, attributes={"id": str(number)}))
    slept = [0.0]
    began: list[float] = []
    taken: list[float] = []
    receive, acknowledge = fake.FakeQueue.receive, fake.FakeQueue.acknowledge

    def receive_slowly(self: fake.FakeQueue, *, limit: int, wait_seconds: float) -> Any:
        found = receive(self, limit=limit, wait_seconds=0.0)
        began.append(sum(slept))
        slept.append(len(found) * per_message)
        return found

    def acknowledge_slowly(self: fake.FakeQueue, messages: Any, /) -> None:
        acknowledge(self, messages)
        taken.append(sum(slept) - began[-1])

    monkeypatch.setattr(fake.FakeQueue, "redeliver_seconds", redeliver_seconds)
    monkeypatch.setattr(fake.FakeQueue, "receive", receive_slowly)
    monkeypatch.setattr(fake.FakeQueue, "acknowledge", acknowledge_slowly)
    monkeypatch.setattr(readers, "time", SimpleNamespace(monotonic=lambda: sum(slept), sleep=time.sleep))
    consumer = consumer_of("queues")
    for _ in range(100):
        consumer.step()
    consumer.close()
    assert Job.objects.filter(name=ship.name).count() == 300
    assert taken[0] > redeliver_seconds  # the first, of which nothing was known
    assert max(taken[1:]) < redeliver_seconds
