"""A worker beside the test: real threads and connections, and nothing of it left behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.core import mail
from django.db import connection, connections, transaction

from django_jobs import current_job, job, registry
from django_jobs.exceptions import ConfigurationError
from django_jobs.models import Worker
from django_jobs.testing import working
from django_jobs.worker.duties.maintenance import Maintenance
from tests.concurrency import wait_until
from tests.databases import chosen_vendor
from tests.sampleapp import jobs as sample
from tests.sampleapp.models import Customer

WAIT_SECONDS = 20


@pytest.fixture(autouse=True)
def _own_definitions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_definitions", dict(registry._definitions))


@pytest.fixture
def _nothing_left() -> Iterator[None]:
    options = {alias: dict(settings["OPTIONS"]) for alias, settings in connections.settings.items()}
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        if thread.name.startswith("jobs-"):  # some are told to end, and nobody waits for them
            thread.join(WAIT_SECONDS)
            assert not thread.is_alive(), thread.name
    assert {alias: settings["OPTIONS"] for alias, settings in connections.settings.items()} == options


@pytest.mark.usefixtures("_nothing_left")
@pytest.mark.django_db(transaction=True)
def test_jobs_run_while_the_test_goes_on_and_nothing_is_left() -> None:
    @job(name="testing.mail", timeout=60)
    def send(to: str) -> str:
        current_job().log("sending")
        mail.send_mail("hello", "", "me@example.com", [to])
        Customer.objects.create(name=to)
        return threading.current_thread().name

    with working(queues=["default"]):
        first, other = send.enqueue("ada@example.com"), sample.named.enqueue(1)
        awaited = sample.echo_async.enqueue("async")
        assert first.wait(WAIT_SECONDS).state == "succeeded"
        assert awaited.wait(WAIT_SECONDS).result == "async"
        with transaction.atomic():
            second = send.enqueue("bob@example.com")
        assert second.wait(WAIT_SECONDS).result.startswith("jobs-executor")
    assert [message.to for message in mail.outbox] == [["ada@example.com"], ["bob@example.com"]]
    assert Customer.objects.count() == 2
    assert first.log is not None
    assert [line.message for line in first.log.lines] == ["sending"]
    assert other.refresh().state == "ready"
    assert Worker.objects.get().state == "stopped"
    later = sample.add.enqueue(1)
    assert later.refresh().state == "ready"


@pytest.mark.usefixtures("_nothing_left")
@pytest.mark.django_db(transaction=True)
def test_running_jobs_may_end_and_an_error_of_the_test_is_raised() -> None:
    started, end = threading.Event(), threading.Event()

    @job(name="testing.slow")
    def slow() -> None:
        started.set()
        assert end.wait(WAIT_SECONDS)

    def fail() -> None:
        assert started.wait(WAIT_SECONDS)
        end.set()
        raise ZeroDivisionError

    running = slow.enqueue()
    with pytest.raises(ZeroDivisionError), working(concurrency=1):
        fail()
    assert running.refresh().state == "succeeded"


@pytest.mark.django_db(transaction=True)
def test_a_job_that_goes_on_is_reported_and_released() -> None:
    started, end = threading.Event(), threading.Event()

    @job(name="testing.hangs")
    def hang() -> None:
        started.set()
        end.wait(WAIT_SECONDS)

    hanging = hang.enqueue()
    with pytest.raises(RuntimeError, match=r"jobs of working\(\) go on after 0\.0 s"), working(timeout=0):
        started.wait(WAIT_SECONDS)
    assert hanging.refresh().state == "ready"
    end.set()
    for thread in threading.enumerate():
        if thread.name == "jobs-executor":
            thread.join(WAIT_SECONDS)


@pytest.mark.parametrize("error", [None, ZeroDivisionError("of the test")])
@pytest.mark.django_db(transaction=True)
def test_a_worker_that_broke_is_reported(error: Exception | None, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = threading.Event()

    def break_down(self: Any) -> None:
        broken.set()
        raise ValueError("broken")

    def wait_and_fail() -> None:
        assert broken.wait(WAIT_SECONDS)
        wait_until(lambda: "jobs-maintenance" not in [thread.name for thread in threading.enumerate()])
        if error is not None:
            raise error

    monkeypatch.setattr(Maintenance, "step", break_down)
    reason = r"of the test|stopped before its block ended: its maintenance died"
    with pytest.raises((RuntimeError, ZeroDivisionError), match=reason) as raised, working():
        wait_and_fail()
    assert raised.value is error or error is None
    if error is not None:
        assert error.__notes__ == ["the worker of working() had stopped by then: its maintenance died"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"queues": "mail"}, r"working\(queues\): expected a list of names .* got 'mail'; write \['mail'\]"),
        ({"concurrency": 0}, r"working\(concurrency\): expected 1 or more, got 0"),
        ({"concurrency": "2"}, r"working\(concurrency\): expected 1 or more, got '2'"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says), working(**options):
        pass


@pytest.mark.django_db
def test_it_is_refused_in_a_transaction() -> None:
    with pytest.raises(ConfigurationError, match=r"expected no transaction, got one"), working():
        pass
    assert not Worker.objects.exists()


@pytest.mark.skipif(chosen_vendor() != "sqlite", reason="only SQLite has databases in memory")
@pytest.mark.django_db(transaction=True)
def test_it_is_refused_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "is_in_memory_db", lambda: True)
    with pytest.raises(ConfigurationError, match=r'"default"\]\["TEST"\] = \{"NAME": "test\.sqlite3"\}'), working():
        pass
