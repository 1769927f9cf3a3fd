"""``manage.py jobs brokers``: text and JSON, pause and resume."""

from __future__ import annotations

import json
from contextlib import suppress
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from django_jobs import operations
from django_jobs.brokers import consumes, publish
from django_jobs.conf.broker_schemes import BrokerScheme, register_scheme
from django_jobs.management.broker_checks import ADVICE
from django_jobs.management.verbs import find_problems
from django_jobs.models import BrokerOutage, DeadLetter, MessageSource
from django_jobs.policy.service_facts import BrokerFacts
from django_jobs.policy.service_health import find_broker_problems
from django_jobs.store.clock import database_now
from django_jobs.store.lifecycle.finish import finish
from django_jobs.store.messages.outages import record_outage
from django_jobs.store.messages.positions import ensure_partitions, stop_partition
from django_jobs.store.messages.sources import record_error
from django_jobs.store.stats.dashboard import dashboard_snapshot
from django_jobs.store.stats.service_facts import describe_service
from tests.admission import admit_all
from tests.brokers import fake
from tests.factories import ago, ended, failure, make_worker, take
from tests.sampleapp.consumed import ship

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def source(settings: Any) -> MessageSource:
    fake.register()
    settings.DJANGO_JOBS = {"BROKERS": {"events": {"url": "fakelog://ada:s3cret@host/f"}}}
    source = MessageSource.objects.create(
        broker="events", name="orders", group="shop", job_name="ship", created_at=database_now(), received=7, poison=1
    )
    ensure_partitions(source.pk, {"0": "12", "1": "0"})
    return source


def run(*arguments: str) -> str:
    output = StringIO()
    call_command("jobs", "brokers", *arguments, stdout=output)
    return output.getvalue()


def test_what_waits_and_how_far_sources_are_read(source: MessageSource) -> None:
    publish("events", "orders", {"order_id": 1}, key="a")
    publish("events", "orders", {"order_id": 2})
    publish("events", "returns", {"order_id": 3})
    record_outage("events", "connection refused")
    stop_partition(source.pk, "1", "the body is no JSON", stands_at="0")
    found = json.loads(run("--json"))
    (broker,), (row,) = found["brokers"], found["sources"]
    assert (broker["waiting"], broker["destinations"]) == (3, {"orders": 2, "returns": 1})
    assert (broker["last_error"], bool(broker["down_since"]), bool(broker["oldest_at"])) == (
        "connection refused",
        True,
        True,
    )
    assert (row["source"], row["received"], row["status"]) == ("events/orders@shop", 7, "stopped")
    assert row["partitions"]["0"]["position"] == "12"
    text = run()
    assert "connection refused" in text
    assert "events/orders@shop, partition 1: the body is no JSON" in text
    assert "s3cret" not in text + json.dumps(found)


def test_a_dead_message_that_holds_back_others_is_named_and_a_problem_of_the_service(settings: Any) -> None:
    settings.DJANGO_JOBS = {"BROKERS": {"events": {"url": "fakelog://host/f", "on_dead_message": "hold_key"}}}
    (first,) = publish("events", "orders", {"order_id": 1}, key="a")
    for number in range(2, 4):
        publish("events", "orders", {"order_id": number}, key="a")
    admit_all()
    worker = make_worker()
    (claim,) = take(worker)
    finish([ended(claim, failure(retry_in=None))], worker_id=worker.pk)
    assert json.loads(run("--json"))["brokers"][0]["held_by_dead"] == {str(first.pk): 2}
    assert f"events, job {first.pk}: 2 messages of its key" in run()
    (problem,) = [one for one in find_problems(wait_within=300) if "dead message" in one]
    assert "1 dead message holds back the later ones of its key: events." in problem
    operations.resolve(DeadLetter.objects.filter(job=first))
    assert not json.loads(run("--json"))["brokers"][0]["held_by_dead"]


def test_a_source_is_paused_and_resumed(source: MessageSource) -> None:
    assert run("--pause", "events/orders@shop") == "source events/orders@shop is paused\n"
    assert run("--pause", "events/orders@shop") == "source events/orders@shop was already paused\n"
    stop_partition(source.pk, "1", "the body is no JSON", stands_at="0")
    assert json.loads(run("--resume", "events/orders@shop", "--json")) == {"resumed": "events/orders@shop"}
    assert json.loads(run("--json"))["sources"][0]["status"] == "no consumer"
    with pytest.raises(CommandError, match="did you mean 'events/orders@shop'"):
        run("--pause", "events/order@shop")


def test_a_broker_that_is_down_and_a_stopped_source_are_problems_of_the_service(source: MessageSource) -> None:
    assert not any("broker" in problem or "source" in problem for problem in find_problems(wait_within=300))
    record_outage("events", "connection refused")
    publish("events", "orders", {"order_id": 1}, key="a")
    publish("events", "orders", {"order_id": 2}, key="a")
    record_error(source.pk, "connection refused")
    stop_partition(source.pk, "1", "the body is no JSON", stands_at="0")
    problems = find_problems(wait_within=300)
    assert any("1 broker has not taken messages" in problem and "events" in problem for problem in problems)
    assert any("Kept and sent later: 2." in problem for problem in problems)
    assert any(
        "events/orders@shop" in problem and "1 message source has not been read for" in problem for problem in problems
    )
    assert any("is stopped by poison: events/orders@shop" in problem for problem in problems)
    sentences = describe_service(dashboard_snapshot())
    assert {"broker_down", "stopped_source", "unread_source"} <= {sentence.key for sentence in sentences}


def test_a_source_is_unread_since_the_first_error(source: MessageSource) -> None:
    record_error(source.pk, "connection refused")
    first = MessageSource.objects.get().error_at
    record_error(source.pk, "no route to host")
    found = MessageSource.objects.get()
    assert (found.error, found.error_at) == ("no route to host", first)
    record_error(source.pk, "")
    assert MessageSource.objects.get().error_at is None


def doctor() -> list[tuple[str, str]]:
    """Return what the doctor finds about brokers, with its advice."""
    output = StringIO()
    with suppress(SystemExit):
        call_command("jobs", "doctor", "--json", stdout=output)
    return [(one["what"], one["advice"]) for one in json.loads(output.getvalue()) if one["about"] == "brokers"]


def test_the_doctor_says_what_health_says_with_advice(source: MessageSource, settings: Any, tmp_path: Path) -> None:
    fake.Broker(tmp_path / "broker").create("orders")
    settings.DJANGO_JOBS = {"BROKERS": {"events": {"url": f"fakelog:///{tmp_path}/broker"}}}
    assert doctor() == []
    record_outage("events", "connection refused")
    BrokerOutage.objects.update(since=ago(hours=2))
    stop_partition(source.pk, "1", "the body is no JSON", stands_at="0")
    (down, advice), (stopped, _) = doctor()
    assert {down, stopped} <= set(find_problems(wait_within=300))
    assert "No message is lost" in advice


def test_the_doctor_connects_and_opens_what_jobs_consume(source: MessageSource, settings: Any, tmp_path: Path) -> None:
    broker = fake.Broker(tmp_path / "broker")
    url = f"fakelog://ada:s3cret@h/{tmp_path}/broker"
    settings.DJANGO_JOBS = {"BROKERS": {"events": {"url": url}, "inside": {"url": "database:"}}}
    consumes("events", "orders")(ship)
    try:
        ((what, advice),) = doctor()
        assert "expected a topic 'orders', which is not there" in what
        assert "create at the broker" in advice
        broker.create("orders")
        assert doctor() == []
        broker.stop()
        ((what, _),) = doctor()
        assert what.startswith("the broker 'events' does not answer this host:")
    finally:
        vars(ship.function).pop("_django_jobs_consumes")


def test_the_doctor_says_that_a_client_is_missing_and_hides_the_password(settings: Any) -> None:
    register_scheme(
        BrokerScheme(
            name="absent",
            driver="tests.brokers.fake.ClientlessDriver",
            example="absent://h",
            client="no_such",
            extra="e",
        )
    )
    settings.DJANGO_JOBS = {"BROKERS": {"events": {"url": "absent://ada:s3cret@h"}}}
    ((what, _),) = doctor()
    assert "pip install" in what
    assert "s3cret" not in what


def test_each_sentence_of_health_about_brokers_has_advice_of_the_doctor() -> None:
    everything = BrokerFacts(down={"a": 1}, unread={"a/b": 1}, stopped_sources=["a/b"], held_by_dead={"a": 1})
    assert {sentence.key for sentence in find_broker_problems(everything)} == set(ADVICE)
