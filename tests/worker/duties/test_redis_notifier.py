"""Workers that a Redis wakes: what is published after a commit ends their pause, and its absence costs the poll."""

from __future__ import annotations

import logging
import os
import select
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import override_settings

from django_jobs.checks import check_notifier
from django_jobs.conf import get_settings
from django_jobs.exceptions import ConfigurationError
from django_jobs.policy.notifications import CHANNEL, SCHEDULERS_CHANNEL
from django_jobs.store import notify, redis_channels
from django_jobs.store.doctor.server import read_server
from django_jobs.store.notify import notify_schedulers_on_commit
from django_jobs.worker.duties.notifiers import create_notifier
from django_jobs.worker.duties.notifiers.redis import RedisNotifier
from tests.concurrency import DEADLINE_SECONDS, Background, wait_until
from tests.private.redis import PrivateRedis
from tests.sampleapp.jobs import named
from tests.worker.contexts import RecordedEvents, make_context

on_file = pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite's workers hear each commit by its file")
pytestmark = [pytest.mark.django_db(transaction=True), on_file]

LONG = float(DEADLINE_SECONDS)
PASSWORD = "open-sesame"


def add_user(server: PrivateRedis) -> None:
    with server.connect() as client:
        client.acl_setuser("jobs", enabled=True, passwords=[f"+{PASSWORD}"], channels=["*"], categories=["+@all"])


@pytest.fixture(scope="module")
def server() -> Iterator[PrivateRedis]:
    one = PrivateRedis()
    try:
        one.start()
        yield one
    finally:
        one.remove()


@pytest.fixture(autouse=True)
def _notifier(server: PrivateRedis, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(redis_channels, "_publishers", {})
    monkeypatch.setattr(notify, "_last_notified", {})
    add_user(server)
    with override_settings(DJANGO_JOBS={"NOTIFIER": url_of(server)}):
        yield


def url_of(server: PrivateRedis) -> str:
    return f"redis://jobs:{PASSWORD}@127.0.0.1:{server.port}"


class Events(RecordedEvents):
    """Ends the pause, as the claimer does."""

    notifier: Any

    def work_enqueued(self, poll_seconds: float, queue_name: str | None = None, priority: int | None = None) -> None:
        super().work_enqueued(poll_seconds, queue_name, priority)
        self.notifier.set()


class Pausing:
    """A notifier whose loop is the test."""

    def __init__(self, **options: object) -> None:
        self.events = Events()
        notifier = create_notifier(make_context(self.events, **options))
        assert isinstance(notifier, RedisNotifier)
        self.notifier = self.events.notifier = notifier

    def step(self) -> None:
        self.notifier.clear()
        self.events.notified.clear()
        self.notifier.listen()

    def pause(self, seconds: float = LONG) -> list[tuple[str | None, int | None]]:
        self.notifier.wait(seconds)
        return self.events.notified


@pytest.fixture
def start() -> Iterator[Callable[..., Pausing]]:
    made: list[Pausing] = []

    def make(**options: object) -> Pausing:
        made.append(Pausing(**options))
        made[-1].step()
        made[-1].step()
        return made[-1]

    yield make
    for one in made:
        one.notifier.close()


def publish(payload: str, name: str = CHANNEL) -> None:
    url = get_settings().notifier
    assert url is not None
    redis_channels.publish(url, redis_channels.channel_of(connection, name), payload)


def test_a_commit_ends_the_pause_of_a_worker_that_serves_the_queue(start: Callable[..., Pausing]) -> None:
    pausing = start(queues=("documents",))
    with transaction.atomic():
        named.using(priority=7).enqueue(1)
        assert pausing.pause(0.05) == [], "before the commit"
    assert pausing.pause() == [("documents", 7)]


def test_what_is_published_between_a_look_and_the_pause_ends_it(start: Callable[..., Pausing]) -> None:
    pausing = start()
    named.enqueue(1)
    assert pausing.pause() == [("documents", 10)]


def test_the_inserting_statement_notifies_nobody_where_a_redis_does(
    start: Callable[..., Pausing], django_assert_num_queries: Any
) -> None:
    pausing = start()
    with django_assert_num_queries(1) as captured:
        named.enqueue(1)
    assert "notify" not in captured.captured_queries[0]["sql"].lower()
    assert pausing.pause() == [("documents", 10)]


class WaitedFor:
    """The socket of a client. ``event`` is set once the client, which has read something, waits for more."""

    def __init__(self, connected: socket.socket, event: threading.Event) -> None:
        self._connected, self._event, self._has_read = connected, event, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connected, name)

    def recv_into(self, buffer: bytearray) -> int:
        if self._has_read and self._connected.gettimeout() != 0:
            self._event.set()
        self._has_read = True
        return self._connected.recv_into(buffer)


def test_a_message_that_comes_in_two_parts_is_no_outage(
    server: PrivateRedis, start: Callable[..., Pausing], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that does not wait finds nothing: the second part is sent when it waits, and not before."""
    monkeypatch.setattr(redis_channels, "ANSWER_SECONDS", LONG)
    is_waiting = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        passing_on = Background(lambda: pass_on(listener, server, is_waiting))
        with override_settings(DJANGO_JOBS={"NOTIFIER": f"redis://127.0.0.1:{listener.getsockname()[1]}"}):
            pausing = start()
        assert pausing.notifier._subscription is not None
        parser = pausing.notifier._subscription._pubsub.connection._parser
        parser._sock = WaitedFor(parser._sock, is_waiting)
        publish("3 documents")
        notified = pausing.pause()
        is_listening = pausing.notifier.is_listening
        is_waiting.set()
        pausing.notifier.close()
        passing_on.result()
    assert (notified, is_listening) == ([("documents", 3)], True)


def pass_on(listener: socket.socket, server: PrivateRedis, is_waiting: threading.Event) -> None:
    """Pass on what one client and the server say; the end of a message only once the client waits for it."""
    client, _ = listener.accept()
    with client, socket.create_connection(("127.0.0.1", server.port)) as upstream, suppress(ConnectionError):
        while True:
            ready, _, _ = select.select([client, upstream], [], [])
            if client in ready:
                if not (said := client.recv(65_536)):
                    return
                upstream.sendall(said)
            if upstream in ready:
                said = upstream.recv(65_536)
                if said.endswith(b"3 documents\r\n"):
                    client.sendall(said[:-5])
                    assert is_waiting.wait(2 * LONG)
                    said = said[-5:]
                client.sendall(said)


def test_what_was_published_before_it_subscribed_is_looked_for() -> None:
    late = Pausing()
    late.notifier.listen()
    assert late.events.notified == [(None, None)]
    assert late.events.schedule_changes == 1
    late.notifier.close()


def test_other_queues_and_foreign_payloads_end_no_pause(start: Callable[..., Pausing]) -> None:
    pausing = start(queues=("documents", "5 stars"))
    for payload in ("", " ", "7", "99999999999 documents", "5 other", "{}", "\x7fé ☃"):
        publish(payload)
    assert pausing.pause(0.05) == []
    publish("5 stars")
    assert pausing.pause() == [("5 stars", None)]


def test_a_process_that_only_fires_schedules_hears_of_changed_ones_alone(start: Callable[..., Pausing]) -> None:
    pausing = start(works=False)
    before = pausing.events.schedule_changes
    named.enqueue(1)
    notify_schedulers_on_commit(using="default")
    publish("", SCHEDULERS_CHANNEL)
    pausing.pause(0.05)
    assert (pausing.events.notified, pausing.events.schedule_changes - before) == ([], 2)


def test_a_worker_polls_while_the_server_is_away_and_subscribes_when_it_is_back(
    server: PrivateRedis,
    start: Callable[..., Pausing],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    pausing = start()
    assert pausing.notifier.is_listening
    caplog.set_level(logging.INFO, "django_jobs.store")
    server.crash()
    pausing.pause(0.05)
    assert not pausing.notifier.is_listening
    pausing.step()
    assert not pausing.notifier.is_listening
    pausing.pause(0.01)
    monkeypatch.setattr(redis_channels, "outage_pause", lambda _: 0.0)
    pausing.notifier._outage._ends_at = 0.0
    pausing.step()
    assert not pausing.notifier.is_listening
    server.start()
    add_user(server)

    pausing.step()

    assert pausing.notifier.is_listening
    assert pausing.events.notified == [(None, None)]
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2, said
    assert "does not answer" in said[0]
    assert "answers again" in said[1]
    assert PASSWORD not in caplog.text


def test_an_enqueue_succeeds_without_the_server_and_leaves_it_alone_for_a_while(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with override_settings(DJANGO_JOBS={"NOTIFIER": f"redis://:{PASSWORD}@127.0.0.1:1"}):
        for _ in range(3):
            monkeypatch.setattr(notify, "_last_notified", {})
            assert named.enqueue(1).pk
        (publisher,) = redis_channels._publishers.values()
        assert publisher._outage._failures == 1
        assert read_server().notify_works is False
    (record,) = [record for record in caplog.records if record.name == "django_jobs.store"]
    assert "does not answer" in record.getMessage()
    assert PASSWORD not in caplog.text


def test_an_enqueue_succeeds_without_the_client(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    assert named.enqueue(1).pk
    assert "run pip install 'django-jobs-engine[redis]'" in caplog.text


def test_the_doctor_publishes_and_subscribes() -> None:
    facts = read_server()
    assert facts.notify_works is True
    assert facts.notifier.startswith("redis://jobs:***@127.0.0.1:")


def test_a_fork_leaves_the_workers_subscription_alone(start: Callable[..., Pausing]) -> None:
    pausing = start()
    subscription = pausing.notifier._subscription
    assert subscription is not None
    child = os.fork()
    if not child:
        subscription.close()
        os._exit(0)
    os.waitpid(child, 0)
    Background(lambda: publish("3 documents")).result()
    assert pausing.pause() == [("documents", 3)]


def test_the_pause_ends_when_another_thread_ends_it(start: Callable[..., Pausing]) -> None:
    pausing = start()
    waiting = Background(pausing.pause)
    pausing.notifier.set()
    assert waiting.result() == []


def test_nothing_is_published_with_notifications_off(server: PrivateRedis) -> None:
    with override_settings(DJANGO_JOBS={"NOTIFIER": url_of(server), "WORKER": {"NOTIFY": False}}):
        named.enqueue(1)
    assert redis_channels._publishers == {}


def test_a_worker_ends_its_subscription(server: PrivateRedis, start: Callable[..., Pausing]) -> None:
    pausing = start()
    pausing.notifier.close()

    def subscribers() -> int:
        with server.connect() as client:
            return int(client.pubsub_numsub(redis_channels.channel_of(connection, CHANNEL))[0][1])

    wait_until(lambda: subscribers() == 0)


def test_a_missing_client_is_an_error_of_the_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_notifier() == []
    monkeypatch.setitem(sys.modules, "redis", None)
    (message,) = check_notifier()
    assert (message.id, "django-jobs-engine[redis]" in message.msg) == ("django_jobs.E007", True)


@pytest.mark.parametrize("value", [7, "redis:6379", "http://host", "redis://", "redis://:secret@a,b", "", "localhost"])
def test_a_wrong_url_is_refused_without_showing_it(value: object) -> None:
    with override_settings(DJANGO_JOBS={"NOTIFIER": value}), pytest.raises(ConfigurationError) as caught:
        get_settings()
    assert "DJANGO_JOBS['NOTIFIER']: expected " in str(caught.value)
    assert "secret" not in str(caught.value)
