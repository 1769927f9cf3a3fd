"""A replay as jobs: the count fixes the ranges, a killed replay doubles nothing, and what is wrong is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from django_jobs import operations
from django_jobs.brokers import consumes, replay_jobs, replaying
from django_jobs.brokers.interface import BrokerDownError, OutgoingMessage
from django_jobs.brokers.replay_jobs import count_messages, replay_messages
from django_jobs.models import Job
from django_jobs.policy.states import State
from django_jobs.testing import drain
from tests.sampleapp.consumed import ship

from . import fake

pytestmark = pytest.mark.django_db(transaction=True)

WAITS = (0.0,) * 6
SOURCE = {"broker": "events", "name": "orders", "group": ""}


@pytest.fixture
def log(settings: Any, tmp_path: Path) -> Iterator[fake.Broker]:
    """A log of two partitions, with five orders and one message that is no JSON, which ``ship`` consumes."""
    fake.register()
    broker = fake.Broker(tmp_path / "broker")
    broker.create("orders", partitions=2)
    settings.DJANGO_JOBS = {
        "BROKERS": {
            "events": {"url": f"fakelog://{tmp_path}/broker", "options": {}},
            "queues": {"url": f"fakequeue://{tmp_path}/broker"},
        }
    }
    for number in range(5):
        put(broker, b'{"order_id": %d}' % number, key=str(number))
    put(broker, b"no JSON", key="0")
    consumes("events", "orders")(ship)
    consumes("queues", "orders")(ship)
    yield broker
    vars(ship.function).pop("_django_jobs_consumes", None)


def put(broker: fake.Broker, body: bytes, *, key: str) -> None:
    broker.append("orders", OutgoingMessage(destination="orders", body=body, key=key, attributes={"id": "1"}))


def count(wanted: dict[str, str], **source: str) -> dict[str, Any]:
    job = count_messages.enqueue(source=SOURCE | source, wanted=wanted)
    assert drain().errors == []
    job.refresh_from_db()
    result: dict[str, Any] = job.result
    return result


def shipped() -> list[int]:
    return sorted(job.arguments["order_id"] for job in Job.objects.filter(name=ship.name))


def test_a_count_enqueues_nothing_and_its_ranges_are_what_is_replayed(log: fake.Broker) -> None:
    counted = count({})
    assert (counted["jobs"], counted["poison"], sorted(counted["ranges"])) == (5, 1, ["0", "1"])
    assert shipped() == []
    put(log, b'{"order_id": 99}', key="0")
    job = replay_messages.enqueue(source=SOURCE, ranges=counted["ranges"], total=5)
    drain()
    job.refresh_from_db()
    assert job.result == {"done": 5, "poison": 1}
    assert shipped() == [0, 1, 2, 3, 4]
    assert Job.objects.filter(name="django_jobs.read_message", state=State.DEAD).count() == 1
    assert all(one.metadata["message"]["replay"] for one in Job.objects.filter(name=ship.name))


def test_a_replay_that_was_killed_resumes_behind_what_it_has_committed(
    log: fake.Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replaying, "BATCH_SIZE", 2)
    ranges = count({})["ranges"]
    batches: list[int] = []

    class KilledError(Exception):
        pass

    def enqueue_two_batches(*args: Any) -> int:
        if len(batches) == 2:
            raise KilledError
        batches.append(1)
        return replaying.enqueue_replayed(*args)

    job = replay_messages.enqueue(source=SOURCE, ranges=ranges)
    with monkeypatch.context() as patch:
        patch.setattr(replay_jobs, "enqueue_replayed", enqueue_two_batches)
        drain()
    assert 0 < len(shipped()) < 5
    operations.retry(Job.objects.filter(pk=job.pk))
    drain()
    job.refresh_from_db()
    assert (job.state, job.result) == (State.SUCCEEDED, {"done": 5, "poison": 1})
    assert shipped() == [0, 1, 2, 3, 4]


def test_a_replay_pauses_while_too_many_of_its_jobs_wait(log: fake.Broker) -> None:
    vars(ship.function).pop("_django_jobs_consumes", None)
    consumes("events", "orders", max_waiting=1)(ship)
    ship.using(run_after=600).enqueue(order_id=7)
    ranges = {"0": ["0", "9"]}
    job = replay_messages.enqueue(source=SOURCE, ranges=ranges)
    drain()
    job.refresh_from_db()
    assert (job.state, job.attempt, shipped()) == (State.SCHEDULED, 0, [7])


@pytest.mark.parametrize(
    ("wanted", "source", "said"),
    [
        ({}, {"broker": "queues"}, "a queue cannot be replayed: its broker forgets a message"),
        ({}, {"name": "returns"}, "no job of this code has @consumes(...) for it"),
        ({"partition": "7"}, {}, "there is no partition '7'; known are 0, 1"),
        ({"partition": "0", "start": "first"}, {}, "expected positions such as '0', got 'first'"),
    ],
)
def test_a_count_tells_why_a_source_cannot_be_replayed(
    log: fake.Broker, wanted: dict[str, str], source: dict[str, str], said: str
) -> None:
    assert said in count(wanted, **source)["problem"]


def test_a_count_of_a_time_takes_what_was_sent_since(log: fake.Broker) -> None:
    assert count({"since": "2026-01-01T00:00:00+00:00"})["jobs"] == 5
    assert count({"until": "2026-01-01T00:00:00+00:00"})["jobs"] == 0


def test_a_broker_that_is_down_uses_up_no_attempt(log: fake.Broker) -> None:
    log.stop()
    job = count_messages.enqueue(source=SOURCE, wanted={})
    drain()
    job.refresh_from_db()
    assert (job.state, job.attempt) == (State.SCHEDULED, 0)
    assert "does not answer" in job.progress_message


def test_a_broker_that_stops_to_answer_in_the_middle_ends_no_replay(
    log: fake.Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some clients connect again by themselves, and give nothing meanwhile."""
    monkeypatch.setattr(replaying, "BATCH_SIZE", 2)
    monkeypatch.setattr(replaying, "WAITS", WAITS)
    ranges = count({})["ranges"]
    read = fake.FakeLog.read

    def read_patiently(self: fake.FakeLog, *args: Any, **options: Any) -> Any:
        if shipped():
            log.stop()
        with suppress(BrokerDownError):
            return read(self, *args, **options)
        return []

    job = replay_messages.enqueue(source=SOURCE, ranges=ranges)
    with monkeypatch.context() as patch:
        patch.setattr(fake.FakeLog, "read", read_patiently)
        drain()
    job.refresh_from_db()
    assert (job.state, job.attempt) == (State.SCHEDULED, 0)
    assert 0 < len(shipped()) < 5
    log.start()
    drain(until=60)
    job.refresh_from_db()
    assert (job.state, job.result) == (State.SUCCEEDED, {"done": 5, "poison": 1})
    assert shipped() == [0, 1, 2, 3, 4]


def silent_reads(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Have the log give nothing so often, although it answers all else: its broker is slow."""
    left = [number]
    read = fake.FakeLog.read

    def read_slowly(self: fake.FakeLog, *args: Any, **options: Any) -> Any:
        left[0] -= 1
        return [] if left[0] >= 0 else read(self, *args, **options)

    monkeypatch.setattr(fake.FakeLog, "read", read_slowly)
    monkeypatch.setattr(replaying, "WAITS", WAITS)


def test_a_broker_that_is_silent_for_long_ends_no_replay(log: fake.Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    ranges = count({})["ranges"]
    silent_reads(monkeypatch, len(WAITS) - 1)
    job = replay_messages.enqueue(source=SOURCE, ranges=ranges)
    drain()
    job.refresh_from_db()
    assert (job.state, job.result) == (State.SUCCEEDED, {"done": 5, "poison": 1})


def test_a_broker_that_never_gives_the_rest_is_told(log: fake.Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    ranges = count({})["ranges"]
    silent_reads(monkeypatch, len(WAITS))
    job = replay_messages.enqueue(source=SOURCE, ranges=ranges)
    drain()
    job.refresh_from_db()
    assert (job.state, job.attempt) == (State.SCHEDULED, 0)
    assert f"nothing came from position 0 on for 0 s, although the log goes on to {ranges['0'][1]}" in (
        job.progress_message
    )
    assert shipped() == []
    drain(until=60)
    assert shipped() == [0, 1, 2, 3, 4]


def test_a_log_whose_last_messages_are_deleted_is_replayed_to_its_end(
    log: fake.Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A compacted log, or one whose last position is the mark of a transaction: nobody waits for what is not there."""
    ranges = count({})["ranges"]
    monkeypatch.setattr(replaying, "WAITS", (0.0,))
    with log.transaction() as cursor:
        cursor.execute("DELETE FROM message WHERE position >= 1")
    job = replay_messages.enqueue(source=SOURCE, ranges=ranges)
    drain()
    job.refresh_from_db()
    assert (job.state, len(shipped())) == (State.SUCCEEDED, 2)


def test_a_log_that_was_created_anew_ends_a_replay_with_a_warning(
    log: fake.Broker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(fake.FakeLog, "is_gap", lambda *_: False)  # its broker does not tell
    job = replay_messages.enqueue(source=SOURCE, ranges={"0": ["100", "200"]})
    monkeypatch.setattr(replaying, "WAITS", (0.0,))
    drain()
    job.refresh_from_db()
    assert (job.state, job.result) == (State.SUCCEEDED, {"done": 0, "poison": 0})
    assert "partition 0: positions 100 to 200 cannot be replayed any more" in caplog.text
