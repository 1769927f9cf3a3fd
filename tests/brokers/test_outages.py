"""A broker that is down: what waits for it costs nothing, uses up no attempt, and goes on by itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db.models import Max

from django_jobs.brokers import NewMessage, publish_many
from django_jobs.models import Attempt, BrokerOutage, Job, Queue
from django_jobs.policy.states import State
from django_jobs.policy.why_not_running import WaitReason
from django_jobs.store.doctor.why_not_running import why_not_running
from django_jobs.store.messages.outages import end_outage
from django_jobs.store.queues import pause, resume, suspend
from django_jobs.testing import drain, working
from tests.concurrency import wait_until
from tests.factories import ago, make_worker, take
from tests.private.base import running
from tests.private.redis import PrivateRedis
from tests.statements import counted

from .conftest import BROKER

STREAM = "orders"
QUEUE = f"messages.{BROKER}"
IN_HAND = 5
"""Messages that are tried when the broker is first found down."""
WAITING = 7

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


@pytest.fixture(scope="module")
def server() -> Iterator[PrivateRedis]:
    with running(PrivateRedis()) as server:
        yield server


@pytest.fixture
def down(server: PrivateRedis, settings: Any) -> Iterator[PrivateRedis]:
    """A server that was stopped; up again, and empty, after the test."""
    url = f"redis://127.0.0.1:{server.port}/0"
    settings.DJANGO_JOBS = {"BROKERS": {BROKER: {"url": url, "options": {"create_streams": True}}}}
    server.crash()
    yield server
    if not server.answers():
        server.start()
    with server.connect() as client:
        client.flushall()


def publish(number: int) -> None:
    publish_many(BROKER, STREAM, [NewMessage({"order_id": at}) for at in range(number)])


def states() -> dict[str, int]:
    found = list(Job.objects.values_list("state", flat=True))
    return {state: found.count(state) for state in set(found)}


def received(server: PrivateRedis) -> int:
    with server.connect() as client:
        return int(client.xlen(STREAM))


def let_test_be_due() -> None:
    assert Queue.objects.filter(pk=QUEUE, suspended_until__gt=ago()).update(suspended_until=ago(seconds=1)) == 1


def test_what_waits_is_not_claimed_and_one_message_is_sent_as_a_test(down: PrivateRedis) -> None:
    publish(IN_HAND)
    drain()
    publish(WAITING)
    assert states() == {State.SCHEDULED: IN_HAND, State.READY: WAITING}
    worker = make_worker()
    with counted() as rounds:
        assert take(worker) == []
    assert rounds.statements == 1, rounds.texts
    reason = why_not_running(Job.objects.filter(state=State.READY)[0])
    assert reason is not None
    assert reason.why is WaitReason.SUSPENDED

    for tests in (1, 2):
        let_test_be_due()
        assert len(drain().job_ids) == 1
        assert Attempt.objects.count() == IN_HAND + tests
    assert Job.objects.aggregate(most=Max("attempt"))["most"] == 0

    down.start()
    let_test_be_due()
    drain(until=60)
    assert states() == {State.SUCCEEDED: IN_HAND + WAITING}
    assert received(down) == IN_HAND + WAITING
    assert not BrokerOutage.objects.exists()
    assert Queue.objects.get(pk=QUEUE).suspended_until is None


def test_a_pause_by_staff_is_neither_made_nor_ended_by_an_outage(down: PrivateRedis) -> None:
    publish(IN_HAND)
    drain()
    publish(WAITING)
    assert not Queue.objects.get(pk=QUEUE).is_paused
    pause(QUEUE, by="ada")
    let_test_be_due()
    assert take(make_worker()) == []
    end_outage(BROKER)
    assert Queue.objects.get(pk=QUEUE).is_paused

    suspend(QUEUE, 60)
    resume(QUEUE)
    assert take(make_worker()) == []


def test_a_worker_goes_on_by_itself_when_the_broker_answers_again(down: PrivateRedis) -> None:
    publish(2_000)
    with working():
        wait_until(BrokerOutage.objects.exists, "the outage")
        wait_until(lambda: not Job.objects.filter(state=State.RUNNING).exists(), "what was in hand to be put back")
        checked_at = BrokerOutage.objects.get().checked_at
        wait_until(lambda: BrokerOutage.objects.get().checked_at > checked_at, "a test")
        assert Attempt.objects.count() < 2_000 + 10  # each once at the most, and one a test
        assert not Job.objects.filter(state=State.SUCCEEDED).exists()
        down.start()
        wait_until(lambda: states() == {State.SUCCEEDED: 2_000}, "all messages to be sent")
    assert received(down) == 2_000
    assert not BrokerOutage.objects.exists()
    assert set(Attempt.objects.values_list("outcome", flat=True)) == {"snoozed", "succeeded"}
