"""``manage.py jobs consume`` as a process: killed, stopped, without its broker, and beside others of its kind."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

from django_jobs.brokers.interface import OutgoingMessage
from django_jobs.models import Job, MessageConsumer, SourcePartition
from tests.brokers import fake
from tests.brokers.app import FREEZES
from tests.concurrency import wait_until

from .conftest import StartWorker
from .running import RunningWorker

StartConsumer = Callable[..., RunningWorker]


@pytest.fixture(params=["log", "queue"])
def kind(request: pytest.FixtureRequest) -> Literal["log", "queue"]:
    found: Literal["log", "queue"] = request.param
    return found


@pytest.fixture
def broker(tmp_path: Path) -> fake.Broker:
    broker = fake.Broker(tmp_path / "broker.db")
    broker.create("numbers", partitions=4)
    return broker


@pytest.fixture
def start_consumer(
    start_worker: StartWorker, broker: fake.Broker, kind: str, worker_environment: dict[str, str]
) -> StartConsumer:
    worker_environment["DJANGO_JOBS_TEST_APPS"] = "tests.brokers.app"
    brokers = {"events": {"url": f"fake{kind}://{broker.path}"}}

    def start(*arguments: str) -> RunningWorker:
        return start_worker(*arguments, command=("jobs", "consume"), settings={"BROKERS": brokers})

    return start


def send(broker: fake.Broker, numbers: range) -> None:
    for number in numbers:
        attributes = {"id": str(number), "source": "/tests", "type": "t", "time": "", "specversion": "1.0"}
        broker.append(
            "numbers",
            OutgoingMessage(
                destination="numbers", body=b'{"number": %d}' % number, key=str(number), attributes=attributes
            ),
        )


def received() -> list[int]:
    return sorted(job.arguments["number"] for job in Job.objects.filter(name="consuming.count"))


def test_each_message_is_one_job_although_consumers_are_killed(
    start_consumer: StartConsumer, broker: fake.Broker
) -> None:
    send(broker, range(300))
    consumers = [start_consumer(), start_consumer("events")]
    wait_until(lambda: len(received()) >= 50, "the first jobs")
    consumers[0].kill()
    broker.redeliver()
    SourcePartition.objects.update(owned_until=None)
    MessageConsumer.objects.all().delete()
    send(broker, range(300, 600))
    third = start_consumer("consuming.count")
    third.wait_for_line("consuming events/numbers")
    wait_until(lambda: len(received()) >= 600, "all jobs")
    assert received() == list(range(600))
    assert [consumers[1].stop(), third.stop()] == [0, 0]
    assert received() == list(range(600))
    assert not MessageConsumer.objects.exists()
    assert not SourcePartition.objects.exclude(owner=None).exists()


def test_a_frozen_consumer_that_wakes_after_others_have_read_on_writes_nothing(
    start_consumer: StartConsumer, broker: fake.Broker, worker_environment: dict[str, str], tmp_path: Path
) -> None:
    freezes = tmp_path / "freezes"
    freezes.touch()
    worker_environment[FREEZES] = str(freezes)
    send(broker, range(20))
    frozen = start_consumer()
    stat = Path(f"/proc/{frozen.process.pid}/stat")
    wait_until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", "the consumer to be frozen")
    assert received() == []
    broker.redeliver()
    SourcePartition.objects.update(owned_until=None)
    MessageConsumer.objects.all().delete()
    other = start_consumer()
    wait_until(lambda: len(received()) >= 20, "the jobs of the other")
    places = set(SourcePartition.objects.values_list("partition", "next_position"))
    frozen.signal(signal.SIGCONT)
    assert frozen.stop() == 0, "it ends after the batch that it had"
    assert received() == list(range(20))
    assert set(SourcePartition.objects.values_list("partition", "next_position")) == places
    send(broker, range(20, 30))
    wait_until(lambda: len(received()) >= 30, "the jobs of what was sent later")
    assert other.stop() == 0
    assert received() == list(range(30))


def test_a_consumer_waits_for_its_broker(start_consumer: StartConsumer, broker: fake.Broker) -> None:
    broker.stop()
    consumer = start_consumer()
    consumer.wait_for_line("the broker does not answer; trying again")
    broker.start()
    send(broker, range(3))
    wait_until(lambda: received() == [0, 1, 2], "the jobs")
    consumer.wait_for_line("the broker answers again")
    consumer.signal(signal.SIGINT)
    assert consumer.wait() == 0


def test_what_is_wrong_at_a_broker_is_said_in_one_line(start_consumer: StartConsumer, broker: fake.Broker) -> None:
    with broker.transaction() as cursor:
        cursor.execute("DELETE FROM topic")
    consumer = start_consumer()
    assert consumer.wait() == 1
    assert consumer.lines[-1].startswith("CommandError: DJANGO_JOBS['BROKERS']['events']: expected a topic 'numbers'")
    assert "Traceback" not in consumer.output
    misspelt = start_consumer("evnts")
    assert misspelt.wait() == 1
    assert "nothing is consumed from 'evnts'; did you mean 'events'?" in misspelt.output
