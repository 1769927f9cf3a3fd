"""Messages that nobody sends on purpose: each becomes a job or a dead letter, and those beside it are taken."""

from __future__ import annotations

from typing import Any, Literal
from uuid import uuid4

import pytest

from django_jobs.brokers import NewMessage, publish, publish_many
from django_jobs.brokers.consumer import SourceConsumer
from django_jobs.brokers.intake import PositionMovedError, Taken, take_from_log, take_from_queue
from django_jobs.brokers.interface import PartitionRange, ReceivedMessage
from django_jobs.brokers.readers import LogReader
from django_jobs.brokers.subscriptions import Consumption
from django_jobs.exceptions import ArgumentsError
from django_jobs.models import DeadLetter, Job, MessageSource, SourcePartition
from django_jobs.policy.poison import READ_MESSAGE
from django_jobs.store.messages.positions import ensure_partitions
from django_jobs.store.messages.sources import ensure_source
from django_jobs.testing import drain
from tests.sampleapp.consumed import ship

from .conftest import BROKER, Consume
from .contract import FakeHarness
from .test_messages import take

pytestmark = pytest.mark.django_db(transaction=True)

ODD: dict[str, dict[str, Any]] = {
    "no bytes": {"body": b""},
    "10 MB": {"body": b'"' + b"x" * 10_000_000 + b'"'},
    "64 KB of control characters": {"body": b"\x01" * 65_536},
    "64 KB of control characters in JSON": {"body": b'["' + b"\\u0001" * 10_000 + b'"]'},
    "bytes": {"body": bytes(range(256)) * 256},
    "NUL in a value": {"body": b'{"order_id": 1, "customer": "a\\u0000b"}'},
    "NUL in a name": {"body": b'{"a\\u0000b": 1}'},
    "surrogate in a value": {"body": b'{"order_id": 1, "customer": "\\ud800"}'},
    "surrogate in a name": {"body": b'{"\\ud800": 1}'},
    "NUL in a header": {"body": b"no", "headers": {"x": "a\0b"}},
    "NUL in a header's name": {"body": b"no", "headers": {"a\0b": "x"}},
    "surrogate in a header": {"body": b"no", "headers": {"x": "\ud800"}},
    "NUL in the key": {"body": b"no", "key": "a\0b"},
    "NUL in the id": {"body": b"no", "message_id": "a\0b"},
    "surrogate in the id": {"body": b"no", "message_id": "\ud800"},
    "a header of 1 MB": {"body": b"no", "headers": {"x": "y" * 1_000_000}},
    "10,000 headers": {"body": b"no", "headers": {f"name {number}": "y" * 100 for number in range(10_000)}},
    "a key of 1 MB": {"body": b"no", "key": "k" * 1_000_000},
    "an id of 1 MB": {"body": b"no", "message_id": "i" * 1_000_000},
    "deep": {"body": b'{"order_id": ' + b"[" * 900 + b"]" * 900 + b"}"},
    "deep list": {"body": b"[" * 950 + b"]" * 950},
    "very deep": {"body": b"[" * 100_000 + b"]" * 100_000},
    "deep objects": {"body": b'{"a": ' * 400 + b"1" + b"}" * 400},
    "infinity": {"body": b'{"order_id": 1e400}'},
    "huge integer": {"body": b'{"order_id": ' + b"9" * 4_000 + b"}"},
    "huger integer": {"body": b'{"order_id": ' + b"9" * 5_000 + b"}"},
    "long customer": {"body": b'{"order_id": 1, "customer": "' + b"c" * 10_000 + b'"}'},
    "null": {"body": b"null"},
    "BOM": {"body": b'\xef\xbb\xbf{"order_id": 1}'},
    "UTF-16": {"body": '{"order_id": 1}'.encode("utf-16")},
}


@pytest.fixture(autouse=True)
def _one_broker(broker: object) -> None:
    if not isinstance(broker, FakeHarness):
        pytest.skip("no statement and no body depends on the broker")


def received(number: int, **fields: Any) -> ReceivedMessage:
    whole = {"body": b'{"order_id": %d}' % number, "message_id": f"good {number}", **fields}
    return ReceivedMessage(**whole, partition="0", position=str(number), next_position=str(number + 1))


def intake(broker: FakeHarness, consumption: Consumption, *messages: ReceivedMessage) -> Taken:
    """Take messages from the first position on."""
    source_id = ensure_source(BROKER, consumption.subscription.name, "").pk
    ensure_partitions(source_id, {"0": "0"})
    if broker.kind == "log":
        return take_from_log(consumption, source_id, messages, {"0": "0"})
    return take_from_queue(consumption, source_id, messages)


def orders() -> list[int]:
    return [job.arguments["order_id"] for job in Job.objects.filter(name=ship.name).order_by("pk")]


def test_odd_messages_hold_up_no_other(broker: FakeHarness, consume: Consume) -> None:
    odd = [received(number, **{"message_id": name, **fields}) for number, (name, fields) in enumerate(ODD.items(), 1)]
    taken = intake(broker, consume(), received(0), *odd, received(100))
    assert (len(taken.done), taken.jobs + taken.poison) == (len(odd) + 2,) * 2
    assert (orders()[0], orders()[-1]) == (0, 100)
    drained = drain()
    assert DeadLetter.objects.count() == taken.poison
    assert drained.succeeded == taken.jobs
    for letter in DeadLetter.objects.all():
        assert letter.error_message.startswith(f"{BROKER}/"), "it is dead for the reason for which it was not taken"


def test_odd_messages_stop_their_source_if_that_is_wanted(broker: FakeHarness, consume: Consume) -> None:
    consumption = consume(on_poison="stop")
    for name, fields in ODD.items():
        SourcePartition.objects.all().delete()
        MessageSource.objects.all().delete()
        taken = intake(broker, consumption, received(1, **{"message_id": name, **fields}))
        rows = [*MessageSource.objects.all(), *SourcePartition.objects.all()]
        assert any(row.stopped_reason for row in rows) == bool(taken.left), name
        assert len(taken.done) == 1 - len(taken.left), name


def test_poison_is_kept_where_little_can_be(broker: FakeHarness, consume: Consume, settings: Any) -> None:
    settings.DJANGO_JOBS = {**settings.DJANGO_JOBS, "ENQUEUE": {"MAX_PAYLOAD_BYTES": 2_000}}
    odd = [received(1, body=b"x" * 1_900), received(2, body=b"y" * 100, headers={"h": "z" * 2_000})]
    assert intake(broker, consume(), received(0), *odd).poison == 2
    drain()
    without_body, without_headers = DeadLetter.objects.order_by("pk")
    assert "without its headers, key, id and body" in without_body.error_message
    assert "without its headers, key and id" in without_headers.error_message
    assert without_headers.job.arguments["body"] == "y" * 100


def test_two_messages_with_one_id_are_two_only_if_their_sources_differ(broker: FakeHarness, consume: Consume) -> None:
    if broker.kind == "log":
        pytest.skip("a log has positions")
    ids = [("/shop", "1"), ("/stock", "1"), ("/shop", "1"), ("/shop", "i" * 600 + "a"), ("/shop", "i" * 600 + "b")]
    messages = [
        received(number, headers={"ce-id": event_id, "ce-source": source})
        for number, (source, event_id) in enumerate(ids)
    ]
    consumption = consume()
    taken = intake(broker, consumption, *messages)
    assert (orders(), taken.duplicates) == ([0, 1, 3, 4], 1)
    assert intake(broker, consumption, *messages).jobs == 0


def test_half_a_surrogate_pair_holds_up_no_message_beside_it(broker: FakeHarness, topic: str, consume: Consume) -> None:
    bodies: list[Any] = [{"order_id": 1}, {"order_id": 2, "customer": "\ud800"}, {"order_id": 3}]
    publish_many(BROKER, topic, [NewMessage(body, key=str(number)) for number, body in enumerate(bodies)])
    assert drain().succeeded == 3
    consumer = SourceConsumer(consume())
    assert sorted(take(consumer, 2)) == [1, 3]
    consumer.close()
    assert "ordering_key" in Job.objects.get(name=READ_MESSAGE).arguments["reason"], "the customer is no key"


@pytest.mark.parametrize("options", [{"headers": {"tenant": "\ud800"}}, {"type": "\ud800"}, {"key": "\ud800"}])
def test_what_has_no_bytes_is_refused_where_it_is_published(options: dict[str, Any]) -> None:
    with pytest.raises(ArgumentsError, match=rf"publish: {next(iter(options))}.*half a surrogate pair in '.ud800'"):
        publish(BROKER, "topic", {}, **options)


def test_a_frozen_consumer_stops_no_partition_that_was_moved(broker: FakeHarness, consume: Consume) -> None:
    if broker.kind == "queue":
        pytest.skip("a queue has no position")
    intake(broker, consume(), received(0, body=b"no"), received(1))
    vars(ship.function).pop("_django_jobs_consumes")
    with pytest.raises(PositionMovedError):
        intake(broker, consume(on_poison="stop"), received(0, body=b"no"), received(1))
    assert SourcePartition.objects.get().stopped_reason == ""


class Replies:
    """A log that gives what a test says, whatever is asked."""

    kind: Literal["log"] = "log"

    def __init__(self, *batches: list[ReceivedMessage], first: str = "0") -> None:
        self.batches, self.first = list(batches), first

    def partitions(self) -> list[str]:
        return ["0"]

    def range_of(self, partition: str) -> PartitionRange:
        return PartitionRange(first=self.first, end="100")

    def order_of(self, position: str) -> int:
        return int(position)

    def lag(self, partition: str, position: str) -> int:
        return 0

    def read(self, positions: object, *, limit: int, wait_seconds: float) -> list[ReceivedMessage]:
        return self.batches.pop(0) if self.batches else []

    def is_gap(self, partition: str, start: str, end: str) -> bool:
        return False

    def record(self, positions: object) -> None:
        pass

    def close(self) -> None:
        pass


def read_from(replies: Replies, consumption: Consumption, *, stored: str) -> SourcePartition:
    """Read all batches from a stored position on, and return the row."""
    source_id = ensure_source(BROKER, consumption.subscription.name, "").pk
    ensure_partitions(source_id, {"0": stored})
    reader = LogReader(consumption, replies, source_id=source_id, owner=uuid4(), using=None)
    reader.sync()
    while replies.batches:
        reader.read()
    return SourcePartition.objects.get()


def test_a_message_that_comes_twice_in_a_batch_is_one_job(consume: Consume) -> None:
    ones = [received(number) for number in (0, 1, 1, 0, 2, 2)]
    assert read_from(Replies(ones, [received(3)]), consume(), stored="0").next_position == "4"
    assert orders() == [0, 1, 2, 3]


def test_a_log_that_was_created_anew_is_read_from_its_first_message(
    consume: Consume, caplog: pytest.LogCaptureFixture
) -> None:
    row = read_from(Replies([received(0)], [received(1)]), consume(), stored="50")
    assert (orders(), row.next_position) == ([0, 1], "2")
    assert "partition 0 has no position 50 any more" in caplog.text


@pytest.mark.parametrize(("first", "is_said"), [("7", True), ("3", False)])
def test_messages_that_were_deleted_before_they_were_read_are_said(
    consume: Consume, caplog: pytest.LogCaptureFixture, first: str, *, is_said: bool
) -> None:
    row = read_from(Replies([received(7)], first=first), consume(), stored="3")
    assert (orders(), row.next_position) == ([7], "8")
    assert ("has deleted messages that were not read, from position 3 on" in caplog.text) == is_said
