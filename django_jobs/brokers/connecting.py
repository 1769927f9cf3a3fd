"""The drivers of this process's brokers, and a pool of the connections that send."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple
from weakref import WeakKeyDictionary

from django.utils.module_loading import import_string

from ..conf import get_settings
from ..conf.brokers import BrokerSettings, find_broker
from ..exceptions import ConfigurationError
from .interface import BrokerDownError, Driver, Sender, Source, Subscription

_drivers: WeakKeyDictionary[BrokerSettings, Driver] = WeakKeyDictionary()


def find_settings(broker: str) -> BrokerSettings:
    """Return the settings of a broker, or raise ConfigurationError with the nearest name."""
    return find_broker(broker, get_settings().brokers)


def driver_of(settings: BrokerSettings) -> Driver:
    """Return the driver of a broker, made at the first use."""
    driver: Driver | None = _drivers.get(settings)
    if driver is None:
        driver = _drivers[settings] = import_string(settings.scheme.driver)(settings)
    return driver


@contextmanager
def hiding_secrets(settings: BrokerSettings) -> Iterator[None]:
    """Leave the broker's secrets out of the errors of its driver, whose texts quote what a client or a server said."""
    try:
        yield
    except BrokerDownError as error:
        raise BrokerDownError(settings.hide(error)) from None
    except ConfigurationError as error:
        raise ConfigurationError(settings.hide(error)) from None


def open_source(subscription: Subscription) -> Source:
    """Open a source of a broker. Raises BrokerDownError or ConfigurationError, without secrets."""
    settings = find_settings(subscription.broker)
    with hiding_secrets(settings):
        return driver_of(settings).open_source(subscription)


class PooledSender(NamedTuple):
    """A sender of the pool; ``is_used``: it has sent before, and may have been cut off since."""

    sender: Sender
    is_used: bool


class SenderPool:
    """Connections that send, by broker: each thread takes one for a batch and puts it back.

    A forked process starts with an empty pool: its parent's connections are not its own. It never frees them, because a
    client that is freed may say goodbye on the socket that its parent goes on using, or wait for threads that are not
    there.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: dict[BrokerSettings, list[Sender]] = {}

    def take(self, settings: BrokerSettings, *, is_fresh: bool = False) -> PooledSender:
        """Return an idle sender, or a new one. Raises BrokerDownError or ConfigurationError."""
        with self._lock:
            idle = self._idle.get(settings, [])
            if idle and not is_fresh:
                return PooledSender(idle.pop(), is_used=True)
        with hiding_secrets(settings):
            return PooledSender(driver_of(settings).open_sender(), is_used=False)

    def put(self, settings: BrokerSettings, sender: Sender) -> None:
        """Take a sender back for the next batch."""
        with self._lock:
            self._idle.setdefault(settings, []).append(sender)

    def close(self, settings: BrokerSettings) -> None:
        """Close the idle senders of a broker: it has answered none of the others."""
        with self._lock:
            idle = self._idle.pop(settings, [])
        for sender in idle:
            sender.close()

    def leave_to_parent(self) -> None:
        """Begin anew in a forked process; another thread of the parent may have held the lock."""
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._idle))
        self._lock, self._idle = threading.Lock(), {}


senders = SenderPool()
"""The pool of this process."""


os.register_at_fork(after_in_child=senders.leave_to_parent)
