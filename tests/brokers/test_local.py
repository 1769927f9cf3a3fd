"""``database:``: a message is a job for each subscriber, in the publisher's transaction."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import transaction
from django.test import Client
from django.urls import reverse

from django_jobs import Chunk, ChunkItem, job, registry
from django_jobs.brokers import apublish, consumes, publish
from django_jobs.models import DeadLetter, Job
from django_jobs.redaction import redact_arguments
from django_jobs.testing import drain

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _subscribers(settings: Any) -> Iterator[None]:
    settings.DJANGO_JOBS = {"BROKERS": {"inside": {"url": "database:"}}}

    @job(name="local.ship")
    @consumes("inside", "orders.*")
    def ship(order_id: int, on: date | None = None) -> str:
        return f"{order_id} {type(on).__name__}"

    @job(name="local.count")
    @consumes("inside", "orders.#")
    @consumes("inside", "returns")
    def count(order_id: int, **rest: Any) -> int:
        return order_id

    @job(name="local.index", chunk=Chunk(10))
    @consumes("inside", "index")
    def index(items: list[ChunkItem[int]]) -> int:
        return len(items)

    yield
    for definition in (ship, count, index):
        registry._definitions.pop(definition.name)


def names() -> list[str]:
    return [job.name for job in Job.objects.order_by("pk")]


def test_each_subscriber_whose_pattern_matches_gets_a_job() -> None:
    jobs = publish("inside", "orders.placed", {"order_id": 7, "on": date(2026, 11, 1)})
    assert [one.name for one in jobs] == names() == ["local.count", "local.ship"]
    publish("inside", "orders.eu.placed", {"order_id": 8})
    publish("inside", "returns", {"order_id": 9})
    assert publish("inside", "nobody", {"order_id": 9}) == []
    assert names() == ["local.count", "local.ship", "local.count", "local.count"]
    assert drain().errors == []
    assert jobs[1].refresh().result == "7 date"


def test_a_rolled_back_message_is_nobodys() -> None:
    with transaction.atomic():
        publish("inside", "orders.placed", {"order_id": 7})
        transaction.set_rollback(True)
    assert names() == []


def test_a_message_that_does_not_fit_is_its_subscribers_poison_not_the_publishers_error() -> None:
    publish("inside", "orders.placed", {"order_id": "seven", "on": None})
    drain()
    poison = DeadLetter.objects.order_by("pk")
    assert [letter.job_name for letter in poison] == ["django_jobs.read_message"] * 2
    assert "expected a whole number, got a text" in poison[0].error_message
    assert "seven" not in poison[0].error_message


def test_a_chunk_job_takes_the_whole_body() -> None:
    publish("inside", "index", 7)
    publish("inside", "index", [7])
    drained = drain()
    assert (drained.succeeded, drained.dead) == (1, 1)


def test_messages_are_published_from_asynchronous_code() -> None:
    first, second = async_to_sync(apublish)("inside", "orders.placed", {"order_id": 7})
    assert {first.name, second.name} == {"local.ship", "local.count"}


def test_a_poison_message_is_redacted_as_its_job_would_be_and_read_again_by_its_button(admin_client: Client) -> None:
    @job(name="local.pay", redact=("card",))
    @consumes("inside", "pay")
    def pay(card: str, amount: int) -> None:
        pass

    try:
        publish("inside", "pay", {"card": "4111-1111", "amount": "much", "password": "hunter2"})
        publish("inside", "pay", b"card=4111-1111")
        drain()
        for letter in DeadLetter.objects.order_by("pk"):
            page = admin_client.get(reverse("admin:django_jobs_deadletter_change", args=[letter.pk])).content.decode()
            assert "4111-1111" not in page
            assert "hunter2" not in page
            assert "Read again" in page
            assert letter.job is not None
            assert "4111-1111" not in str(redact_arguments(letter.job_name, letter.job.arguments))
    finally:
        registry._definitions.pop("local.pay")
