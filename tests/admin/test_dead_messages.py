"""Dead messages in the admin: poison is read again by its button; those that hold back others of a key are listed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from django_jobs.brokers import consumes, publish, readers
from django_jobs.brokers.consumer import SourceConsumer
from django_jobs.brokers.interface import OutgoingMessage
from django_jobs.brokers.subscriptions import consumptions
from django_jobs.models import DeadLetter, Job
from django_jobs.policy.states import State
from django_jobs.testing import drain
from tests.brokers import fake
from tests.sampleapp.consumed import ship

from .staff import log_in, url

pytestmark = pytest.mark.django_db(transaction=True)

READ = ("view_deadletter", "redrive_deadletter")


@pytest.fixture
def broker(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[fake.Broker]:
    """A log from which ``ship`` reads; a dead message to it holds back its key."""
    monkeypatch.setattr(readers, "WAIT_SECONDS", 0.01)
    fake.register()
    broker = fake.Broker(tmp_path / "broker")
    broker.create("orders")
    settings.DJANGO_JOBS = {
        "BROKERS": {"events": {"url": f"fakelog://{tmp_path}/broker", "on_dead_message": "hold_key"}}
    }
    yield broker
    vars(ship.function).pop("_django_jobs_consumes", None)


def page(client: Client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200
    return str(response.content.decode())


def buried(broker: fake.Broker) -> DeadLetter:
    """Return the dead letter of a message without the order's id."""
    consumes("events", "orders")(ship)
    (consumption,) = consumptions("events")
    body = b'{"number": 3}'
    broker.append("orders", OutgoingMessage(destination="orders", body=body, attributes={"id": "1"}))
    consumer = SourceConsumer(consumption)
    consumer.step()
    consumer.close()
    drain()
    return DeadLetter.objects.get()


def test_a_message_that_could_not_be_read_is_read_again_by_its_button(client: Client, broker: fake.Broker) -> None:
    log_in(client, *READ)
    poison = buried(broker)
    shown = page(client, url("deadletter_change", poison.pk))
    assert "Read again" in shown
    assert f'action="{url("deadletter_act", poison.pk, "redrive")}"' in shown
    vars(ship.function).pop("_django_jobs_consumes")
    consumes("events", "orders", decode=lambda _: {"order_id": 3})(ship)  # the code that knows such messages
    answer = client.post(url("deadletter_act", poison.pk, "redrive"), follow=True)
    assert f"Dead letter {poison.pk} is redriven." in answer.content.decode()
    drain()
    assert Job.objects.get(name=ship.name).arguments["order_id"] == 3
    poison.refresh_from_db()
    assert (poison.status, poison.resolved_by) == ("redriven", "bo")
    assert "Read again" not in page(client, url("deadletter_change", poison.pk))


def test_a_message_that_still_cannot_be_read_is_a_dead_letter_again(client: Client, broker: fake.Broker) -> None:
    log_in(client, *READ)
    poison = buried(broker)
    client.post(url("deadletter_act", poison.pk, "redrive"))
    drain()
    assert not Job.objects.filter(name=ship.name).exists()
    (again,) = DeadLetter.objects.filter(status="open")
    assert again.pk != poison.pk
    assert "order_id" in again.error_message
    assert "Read again" in page(client, url("deadletter_change", again.pk))


def test_dead_messages_that_hold_back_others_are_listed(admin_client: Client, broker: fake.Broker) -> None:
    too_large = {"text": "x" * fake.MAX_BYTES}
    (dead,), _ = publish("events", "orders", too_large, key="ada"), publish("events", "orders", {}, key="ada")
    assert "jobs-held" not in page(admin_client, url("messagesource_changelist"))
    drain()
    assert dead.refresh().state == State.DEAD
    shown = page(admin_client, url("messagesource_changelist"))
    assert "Dead messages that hold back the later ones of their keys" in shown
    assert f'<bdi>events</bdi>: <a href="{url("job_change", dead.pk)}">job {dead.pk}</a> (1 message waits)' in shown
