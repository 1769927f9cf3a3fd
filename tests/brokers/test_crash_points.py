"""A process that dies between any two statements of sending or taking messages loses none and doubles none.

On every database, with the fake brokers: what real ones do about a consumer's death is asked in ``test_messages.py``.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator, Sequence

import pytest

from django_jobs import job, registry
from django_jobs.brokers import NewMessage, consumes, publish, publish_many
from django_jobs.brokers.intake import PositionMovedError, Taken, take_from_log, take_from_queue
from django_jobs.brokers.interface import OutgoingMessage, ReceivedMessage, SendOutcome
from django_jobs.brokers.subscriptions import Consumption
from django_jobs.models import Job, MessageSource, ReceivedId, SourcePartition, Worker
from django_jobs.policy.poison import READ_MESSAGE
from django_jobs.policy.states import State
from django_jobs.store.lifecycle.purge import purge
from django_jobs.store.lifecycle.rescue import rescue_worker
from django_jobs.store.messages.positions import ensure_partitions
from django_jobs.store.messages.sources import ensure_source
from django_jobs.testing import drain
from tests.chaos.messages.audit import MessageFacts, Record, audit
from tests.crashing import crash_at_every_point, crash_by_itself
from tests.factories import RULES

from .conftest import BROKER, Consume
from .contract import FakeHarness
from .fake import FakeSender

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

STEPS = pytest.mark.parametrize(
    "step", [20, pytest.param(1, marks=[pytest.mark.release, pytest.mark.timeout(900)])], ids=["some", "all"]
)
"""Of points: a whole run of a job has more than a hundred, and each costs a process."""
BODIES = [b'{"order_id": 0}', b"poison", b'{"order_id": 2}']


@pytest.fixture(autouse=True)
def _fakes_only(broker: object) -> None:
    if not isinstance(broker, FakeHarness):
        pytest.skip("the statements are the same with every broker")


def _batch() -> list[ReceivedMessage]:
    return [
        ReceivedMessage(
            body=body,
            message_id=f"id-{number}",
            partition="0",
            position=str(number),
            next_position=str(number + 1),
        )
        for number, body in enumerate(BODIES)
    ]


def _take(broker: FakeHarness, consumption: Consumption, source_id: int) -> Taken:
    if broker.kind == "queue":
        return take_from_queue(consumption, source_id, _batch())
    (row,) = SourcePartition.objects.all()
    left = [message for message in _batch() if int(message.position) >= int(row.next_position)]
    return take_from_log(consumption, source_id, left, {"0": row.next_position})


def _prepare(consumption: Consumption) -> int:
    for model in (Job, ReceivedId, SourcePartition, MessageSource):
        model.objects.all()._raw_delete("default")
    source_id = ensure_source(BROKER, consumption.subscription.name, "").pk
    ensure_partitions(source_id, {"0": "0"})
    return source_id


def _names() -> list[str]:
    return sorted(Job.objects.values_list("name", flat=True))


@pytest.mark.parametrize("on_poison", ["dead_letter", "stop"])
def test_a_crash_while_a_batch_is_taken_leaves_all_or_nothing(
    broker: FakeHarness, consume: Consume, on_poison: str
) -> None:
    consumption = consume(on_poison=on_poison)
    ship = consumption.definition.name
    whole = sorted([ship, ship, READ_MESSAGE]) if on_poison == "dead_letter" else [ship]
    seen = set()
    for point, source_id in crash_at_every_point(
        lambda: _prepare(consumption), lambda made: _take(broker, consumption, made)
    ):
        names = _names()
        places = list(SourcePartition.objects.values_list("next_position", "stopped_reason"))
        ids = ReceivedId.objects.count()
        stopped = [reason for _, reason in places if reason] + list(
            MessageSource.objects.exclude(stopped_reason="").values_list("stopped_reason", flat=True)
        )
        assert names in ([], whole), point
        taken = len(BODIES) if on_poison == "dead_letter" else 1
        assert bool(stopped) == (bool(names) and on_poison == "stop"), point
        if broker.kind == "log":
            assert places[0][0] == (str(taken) if names else "0"), point
        else:
            assert ids == (taken if names else 0), point
        seen.add(tuple(names))
        if not names:
            _take(broker, consumption, source_id)
        elif broker.kind == "queue":
            assert _take(broker, consumption, source_id).jobs == 0, point
        assert _names() == whole, point
    assert seen == {(), tuple(whole)}


@STEPS
def test_a_crash_while_poison_is_read_again_leaves_it_or_its_job(
    broker: FakeHarness, consume: Consume, step: int
) -> None:
    if broker.kind == "log":
        pytest.skip("it is a job, whatever it came from")
    consumption = consume(decode=lambda message: json.loads(message.body))

    def prepare() -> None:
        purge(Job.objects.all())
        source = {
            "broker": BROKER,
            "name": consumption.subscription.name,
            "group": "",
            "job": consumption.definition.name,
        }
        registry.find(READ_MESSAGE).enqueue(source, {"order_id": 7}, {}, size=15)  # type: ignore[union-attr]

    for point, _ in crash_at_every_point(prepare, lambda _: drain(queues=["default"]), step=step):
        ends = set(Job.objects.filter(name=READ_MESSAGE).values_list("state", flat=True))
        made = Job.objects.exclude(name=READ_MESSAGE).count()
        assert made == (1 if ends == {State.SUCCEEDED} else 0), point
        _rescue()
        drain(until=600)
        assert Job.objects.exclude(name=READ_MESSAGE).count() == 1, point
        assert set(Job.objects.values_list("state", flat=True)) == {State.SUCCEEDED}, point


@STEPS
def test_a_relay_that_dies_anywhere_sends_each_message_with_one_id_and_in_order(broker: FakeHarness, step: int) -> None:
    if broker.kind == "queue":
        pytest.skip("the relay does not know what its broker is")

    def prepare() -> str:
        purge(Job.objects.all())
        topic = broker.new_topic()
        keys = "aa"
        publish_many(BROKER, topic, [NewMessage({"number": at}, key=key) for at, key in enumerate(keys)])
        return topic

    for point, topic in crash_at_every_point(prepare, lambda _: drain(), step=step):
        _rescue()
        drain(until=600)
        rows = broker.broker.rows(topic, "key, headers, body")
        records = [Record(json.loads(body)["number"], key, json.loads(headers)["ce-id"]) for key, headers, body in rows]
        unsent = Job.objects.exclude(state=State.SUCCEEDED).count()
        numbers = [record.number for record in records]
        facts = MessageFacts(kind="log", committed=frozenset(range(2)), records=records, received=numbers)
        assert (audit(facts), unsent) == ([], 0), point


def test_a_relay_that_dies_between_the_confirmation_and_its_commit_sends_a_copy_with_the_same_id(
    broker: FakeHarness,
) -> None:
    topic = broker.new_topic()
    publish(BROKER, topic, {"number": 1}, key="a")
    send = FakeSender.send

    def send_and_die(self: FakeSender, messages: Sequence[OutgoingMessage], /) -> Sequence[SendOutcome]:
        send(self, messages)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("unreachable")

    def relay() -> None:
        FakeSender.send = send_and_die  # type: ignore[method-assign]  # in a process that ends here
        drain()

    crash_by_itself(relay)
    _rescue()
    drain(until=600)
    first, second = [json.loads(headers)["ce-id"] for (headers,) in broker.broker.rows(topic, "headers")]
    assert first == second
    assert Job.objects.get().state == State.SUCCEEDED


@pytest.fixture
def _subscribers() -> Iterator[None]:
    @job(name="crashing.ship")
    @consumes("inside", "orders.*")
    def ship(order_id: int) -> None: ...

    @job(name="crashing.count")
    @consumes("inside", "orders.#")
    def count(order_id: int, amount: int) -> None: ...

    yield
    for definition in (ship, count):
        registry._definitions.pop(definition.name)


@pytest.mark.usefixtures("_subscribers")
def test_a_crash_while_subscribers_inside_are_told_tells_all_or_none(broker: FakeHarness) -> None:
    if broker.kind == "queue":
        pytest.skip("no broker is asked")
    told = ["crashing.ship", READ_MESSAGE]
    seen = set()

    def prepare() -> None:
        Job.objects.all()._raw_delete("default")

    for point, _ in crash_at_every_point(prepare, lambda _: publish("inside", "orders.placed", {"order_id": 1})):
        assert _names() in ([], sorted(told)), point
        seen.add(tuple(_names()))
    assert seen == {(), tuple(sorted(told))}


def test_a_batch_that_was_taken_is_not_taken_again(broker: FakeHarness, consume: Consume) -> None:
    if broker.kind == "queue":
        pytest.skip("a queue has an inbox")
    consumption = consume()
    source_id = _prepare(consumption)
    take_from_log(consumption, source_id, _batch(), {"0": "0"})
    with pytest.raises(PositionMovedError):
        take_from_log(consumption, source_id, _batch(), {"0": "0"})
    assert len(_names()) == len(BODIES)


def _rescue() -> None:
    """Give the jobs of all workers that died their next run."""
    for pk in Worker.objects.values_list("pk", flat=True):
        rescue_worker(pk, rules=RULES)
