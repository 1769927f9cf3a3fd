"""A process that is forked from one with senders: it has its own, and leaves its parent's connections alone."""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from django_jobs.brokers.connecting import find_settings, senders
from django_jobs.brokers.interface import Driver, OutgoingMessage, SendOutcome, Sent, Subscription
from django_jobs.conf.brokers import BrokerSettings, as_brokers

from .conftest import BROKER
from .contract import Harness
from .test_drivers import message, read_all


@pytest.fixture
def settings_of_broker(broker: Harness) -> BrokerSettings:
    return find_settings(BROKER)


def in_fork(function: Callable[[], bool]) -> bool:
    """Return what a function returns in a forked child, which ends as the children of multiprocessing do."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads
        pid = os.fork()
    if pid == 0:
        code = 2
        try:
            code = 0 if function() else 1
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status) == 0


def test_a_fork_sends_by_a_connection_of_its_own_and_leaves_that_of_its_parent_open(
    driver: Driver, settings_of_broker: BrokerSettings, subscription: Subscription
) -> None:
    def send(number: int) -> bool:
        """Send by the pool; tell whether that is confirmed, by a connection that had been used."""
        sender, is_used = senders.take(settings_of_broker)
        outcomes = sender.send([message(subscription.name, number)])
        senders.put(settings_of_broker, sender)
        return is_used and list(outcomes) == [Sent()]

    def send_as_child() -> bool:
        gc.collect()
        return not send(2) and send(3)

    assert not send(1)
    try:
        assert in_fork(send_as_child)
        assert send(4)
        source = driver.open_source(subscription)
        found = read_all(source, 4)
        assert sorted(one.body for one in found) == [b'{"number": %d}' % number for number in range(1, 5)]
        source.close()
    finally:
        senders.close(settings_of_broker)


class SenderThatSaysGoodbye:
    """Its end is written to a file, as that of a client to its socket."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def send(self, messages: Sequence[OutgoingMessage], /) -> Sequence[SendOutcome]:
        return [Sent() for _ in messages]

    def close(self) -> None:
        pass

    def __del__(self) -> None:
        self._path.write_text("goodbye")


def test_a_fork_never_frees_a_connection_of_its_parent(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    (settings,) = as_brokers("BROKERS", {"events": {"url": "redis://127.0.0.1:1"}}).values()
    senders.put(settings, SenderThatSaysGoodbye(path))

    def look() -> bool:
        gc.collect()
        return not path.exists()

    assert in_fork(look)
    senders.close(settings)
    assert path.exists()
