"""The page of brokers: what waits to be sent, sources, pause and resume."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import translation

from django_jobs.brokers import publish
from django_jobs.models import Job, MessageSource
from django_jobs.store.clock import database_now
from django_jobs.store.messages.outages import record_outage
from django_jobs.store.messages.positions import ensure_partitions, stop_partition
from django_jobs.store.stats import dashboard
from django_jobs.store.stats.rollup import roll_up
from tests.brokers import fake
from tests.factories import make_attempt

from .staff import log_in, url

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def source(settings: Any) -> MessageSource:
    fake.register()
    settings.DJANGO_JOBS = {"BROKERS": {"events": {"url": "fakelog://ada:s3cret@host/f"}}}
    source = MessageSource.objects.create(
        broker="events", name="orders", group="shop", job_name="ship", created_at=database_now(), received=7001
    )
    ensure_partitions(source.pk, {"0": "12"})
    return source


def text(client: Client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200
    return str(response.content.decode())


def test_the_list_shows_brokers_and_sources(admin_client: Client) -> None:
    publish("events", "orders", {"order_id": 1})
    record_outage("events", "connection refused")
    page = text(admin_client, url("messagesource_changelist"))
    for shown in (
        "fakelog://ada:***@host/f",
        "orders (1)",
        "connection refused",
        "events/orders@shop",
        "7,001",
        "1 message source",
    ):
        assert shown in page
    assert "s3cret" not in page


def test_the_error_of_a_broker_is_for_those_who_may_see_errors(client: Client) -> None:
    record_outage("events", "connection refused")
    log_in(client, "view_messagesource")
    assert "connection refused" not in text(client, url("messagesource_changelist"))


def test_what_stopped_a_source_is_for_those_who_may_see_errors(client: Client, source: MessageSource) -> None:
    stop_partition(source.pk, "0", "the body is {card: 4711}", stands_at="12")
    MessageSource.objects.filter(pk=source.pk).update(error="no route to ada", stopped_reason="it was poison")
    log_in(client, "view_messagesource")
    page = text(client, url("messagesource_change", source.pk))
    assert "events/orders@shop" in page
    assert [word for word in ("4711", "no route", "it was poison") if word in page] == []


def test_numbers_of_brokers_are_written_as_in_the_language(admin_client: Client, source: MessageSource) -> None:
    source.partitions.update(lag=12_345)
    with translation.override("de"):
        assert "12.345" in text(admin_client, url("messagesource_changelist"))
        assert "<td>0,0</td>" in text(admin_client, url("messagesource_changelist"))


def test_the_rate_of_a_broker_is_rounded(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    publish("events", "orders", {"order_id": 1})
    monkeypatch.setattr(dashboard, "RATE_MINUTES", 7)  # of ten, no rate has a second decimal
    job, minute = Job.objects.get(), database_now().replace(second=0, microsecond=0)
    for number in range(9):
        make_attempt(job, claim_number=number, outcome="succeeded", finished_at=minute - timedelta(minutes=5))
    roll_up(min_age=timedelta(0))
    assert "<td>1.3</td>" in text(admin_client, url("messagesource_changelist"))


def test_a_source_is_paused_and_resumed_by_its_button(admin_client: Client, source: MessageSource) -> None:
    page = url("messagesource_change", source.pk)
    assert "12" in text(admin_client, page)
    admin_client.post(url("messagesource_act", source.pk, "pause"))
    source.refresh_from_db()
    assert (bool(source.paused_at), source.paused_by) == (True, "admin")
    stop_partition(source.pk, "0", "the body is no JSON", stands_at="12")
    assert "the body is no JSON" in text(admin_client, page)
    admin_client.post(url("messagesource_act", source.pk, "resume"))
    source.refresh_from_db()
    assert source.paused_at is None
    assert "the body is no JSON" not in text(admin_client, page)


def test_a_source_is_paused_with_the_permission_only(client: Client, source: MessageSource) -> None:
    log_in(client, "view_messagesource")
    assert client.post(url("messagesource_act", source.pk, "pause")).status_code == 403
    assert client.get(url("messagesource_act", source.pk, "pause")).status_code == 404
