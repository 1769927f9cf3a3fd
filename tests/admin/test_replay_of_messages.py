"""The pages that replay a source: range, count, confirmation, progress."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from django_jobs.brokers import consumes
from django_jobs.brokers.consumer import SourceConsumer
from django_jobs.brokers.interface import OutgoingMessage
from django_jobs.brokers.replay_jobs import count_messages, replay_messages
from django_jobs.brokers.subscriptions import consumptions
from django_jobs.models import Job, MessageSource
from django_jobs.policy.states import State
from django_jobs.testing import drain
from tests import factories
from tests.brokers import fake
from tests.sampleapp.consumed import ship

from .staff import log_in, url

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def log(settings: Any, tmp_path: Path) -> Iterator[fake.Broker]:
    fake.register()
    broker = fake.Broker(tmp_path / "broker")
    broker.create("orders")
    settings.DJANGO_JOBS = {"BROKERS": {"events": {"url": f"fakelog://{tmp_path}/broker"}}}
    for body in (b'{"order_id": 1}', b'{"order_id": 2}', b"no JSON"):
        broker.append("orders", OutgoingMessage(destination="orders", body=body, attributes={"id": "1"}))
    consumes("events", "orders")(ship)
    yield broker
    vars(ship.function).pop("_django_jobs_consumes", None)


@pytest.fixture
def source(log: fake.Broker, monkeypatch: pytest.MonkeyPatch) -> MessageSource:
    """The source, read by a consumer."""
    monkeypatch.setattr("django_jobs.brokers.readers.WAIT_SECONDS", 0.05)
    consumer = SourceConsumer(consumptions("events")[0])
    while Job.objects.count() < 3:
        consumer.step()
    consumer.close()
    return MessageSource.objects.get()


def text(client: Client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200
    return str(response.content.decode())


def count(client: Client, source: MessageSource, **data: str) -> Job:
    """Fill in the form, and have the count run."""
    response = client.post(url("messagesource_replay", source.pk), data)
    job = Job.objects.filter(name=count_messages.name).latest("pk")
    assert response["Location"] == url("messagesource_replay_job", job.pk)
    drain()
    return job


def test_a_source_is_counted_confirmed_and_replayed_once(admin_client: Client, source: MessageSource) -> None:
    page = text(admin_client, url("messagesource_change", source.pk))
    assert url("messagesource_replay", source.pk) in page
    assert "Count messages" in text(admin_client, url("messagesource_replay", source.pk))
    counted = count(admin_client, source, partition="0", start="1")
    page = text(admin_client, url("messagesource_replay_job", counted.pk))
    assert "1 message would become a job again. 1 message cannot become a job" in page
    confirm = url("messagesource_replay_confirm", counted.pk)
    assert confirm in page
    assert "A job of tests.sampleapp.consumed.ship is enqueued for each." in text(admin_client, confirm)
    assert Job.objects.filter(name=ship.name).count() == 2
    targets = {admin_client.post(confirm, {"confirmed": "1"})["Location"] for _ in range(2)}
    (job,) = Job.objects.filter(name=replay_messages.name)
    assert targets == {url("messagesource_replay_job", job.pk)}
    assert "Stop" in text(admin_client, url("messagesource_replay_job", job.pk))
    drain()
    assert "1 job enqueued again." in text(admin_client, url("messagesource_replay_job", job.pk))
    status = admin_client.get(url("messagesource_replay_now", job.pk)).json()
    assert (status["done"], status["is_final"]) == (1, True)
    orders = [one.arguments["order_id"] for one in Job.objects.filter(name=ship.name).order_by("pk")]
    assert orders == [1, 2, 2]
    said = [entry.change_message for entry in LogEntry.objects.filter(object_id=source.pk)]
    assert any("Replay of 2 messages" in one for one in said)


def test_a_replay_is_for_those_who_may_pause_the_source(client: Client, source: MessageSource) -> None:
    job = count_messages.enqueue(source={"broker": "events", "name": "orders", "group": ""}, wanted={})
    log_in(client, "view_messagesource")
    addresses = [
        url("messagesource_replay", source.pk),
        *(url(f"messagesource_replay_{page}", job.pk) for page in ("job", "now", "confirm")),
    ]
    assert {client.get(address).status_code for address in addresses} == {403}
    posted = (addresses[0], url("messagesource_replay_confirm", job.pk), url("messagesource_replay_stop", job.pk))
    assert {client.post(address).status_code for address in posted} == {403}
    assert url("messagesource_replay", source.pk) not in text(client, url("messagesource_change", source.pk))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"start": "1"}, "Positions are those of one partition"),
        ({"since": "2026-11-02T08:00", "until": "2026-11-01T08:00"}, "The range ends before it begins"),
        ({"since": "yesterday"}, "Enter a valid date/time"),
        ({"partition": "9"}, "is not one of the available choices"),
    ],
)
def test_a_wrong_range_is_told_in_the_form(
    admin_client: Client, source: MessageSource, data: dict[str, str], said: str
) -> None:
    response = admin_client.post(url("messagesource_replay", source.pk), data)
    assert said in response.content.decode()
    assert not Job.objects.filter(name=count_messages.name).exists()


def test_a_source_that_cannot_be_replayed_says_why(admin_client: Client, source: MessageSource) -> None:
    page = url("messagesource_replay", source.pk)
    source.partitions.all().delete()
    assert "Its broker forgets a message" in text(admin_client, page)
    MessageSource.objects.update(received=0)
    assert "No consumer has read it yet" in text(admin_client, page)
    vars(ship.function).pop("_django_jobs_consumes")
    assert "No job of this code consumes the source" in text(admin_client, page)
    admin_client.post(page)
    assert not Job.objects.filter(name=count_messages.name).exists()


def test_a_count_that_found_a_problem_says_it_to_those_who_may_see_errors(
    admin_client: Client, client: Client, source: MessageSource
) -> None:
    job = count(admin_client, source, partition="0", start="first")
    page = url("messagesource_replay_job", job.pk)
    assert "expected positions such as" in text(admin_client, page)
    assert admin_client.get(url("messagesource_replay_confirm", job.pk)).status_code == 404
    log_in(client, "view_messagesource", "pause_messagesource")
    assert "expected positions" not in text(client, page)


def test_a_replay_that_runs_says_how_far_it_is(admin_client: Client, source: MessageSource) -> None:
    job = factories.make_job(
        State.RUNNING,
        name=replay_messages.name,
        worker=factories.make_worker(),
        arguments={"source": {"broker": "events", "name": "orders", "group": ""}, "ranges": {}, "total": 9},
        progress_done=4,
        progress_total=9,
    )
    status = admin_client.get(url("messagesource_replay_now", job.pk)).json()
    assert (status["text"], status["done"], status["total"]) == ("4 jobs enqueued again.", 4, 9)


def test_a_count_can_be_stopped(admin_client: Client, source: MessageSource) -> None:
    admin_client.post(url("messagesource_replay", source.pk))
    job = Job.objects.get(name=count_messages.name)
    admin_client.post(url("messagesource_replay_stop", job.pk))
    assert job.refresh().state == "cancelled"
    assert "Job cancelled." in text(admin_client, url("messagesource_replay_job", job.pk))
