"""The password of a broker's URL appears in no error, log, dead letter or row, whatever a driver says."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from django_jobs.brokers import consumes, publish
from django_jobs.brokers.consumer import SourceConsumer
from django_jobs.brokers.interface import BrokerDownError
from django_jobs.brokers.replay_jobs import count_messages
from django_jobs.brokers.subscriptions import consumptions
from django_jobs.conf.broker_schemes import BrokerScheme, register_scheme
from django_jobs.exceptions import ConfigurationError
from django_jobs.models import Attempt, BrokerOutage, DeadLetter, Job, MessageSource
from django_jobs.testing import drain
from tests.sampleapp.consumed import ship

from . import fake

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = "s3cret-word"


@pytest.fixture(autouse=True)
def _leaking(settings: Any) -> Iterator[None]:
    register_scheme(BrokerScheme(name="leaking", driver="tests.brokers.fake.LeakingDriver", example="leaking://host"))
    settings.DJANGO_JOBS = {"BROKERS": {"events": {"url": f"leaking://ada:{SECRET}@host"}}}
    consumes("events", "orders")(ship)
    yield
    vars(ship.function).pop("_django_jobs_consumes", None)


def everything() -> str:
    """Return all texts of the tables that an error may have reached."""
    models: tuple[Any, ...] = (Job, Attempt, DeadLetter, BrokerOutage, MessageSource)
    return "".join(str(row) for model in models for row in model.objects.values())


@pytest.mark.parametrize("error", [ConfigurationError, BrokerDownError])
def test_a_message_that_cannot_be_sent(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(fake.LeakingDriver, "error", error)
    publish("events", "orders", {"order_id": 1})
    count_messages.enqueue(source={"broker": "events", "name": "orders", "group": ""}, wanted={})
    drain()
    assert "cannot log in with ***" in everything() + caplog.text
    assert SECRET not in everything() + caplog.text


@pytest.mark.parametrize("error", [ConfigurationError, BrokerDownError])
def test_a_source_that_cannot_be_opened(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(fake.LeakingDriver, "error", error)
    consumer = SourceConsumer(consumptions("events")[0])
    said = ""
    try:
        consumer.step()
    except ConfigurationError as raised:
        said = f"{raised}{raised.__cause__}"
    consumer.close()
    assert "cannot log in with ***" in said + everything()
    assert SECRET not in said + everything() + caplog.text


def test_the_first_line_of_consume_and_of_a_replay(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for options in ([], ["--replay", "--dry-run"]):
        with pytest.raises((CommandError, SystemExit)) as raised:
            call_command("jobs", "consume", "events", *options, stdout=StringIO(), stderr=StringIO())
        assert "cannot log in with ***" in str(raised.value)
    assert SECRET not in caplog.text
