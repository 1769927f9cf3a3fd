"""Brokers ``database:``: there is no server. ``brokers/local.py`` delivers in the publisher's transaction."""

from __future__ import annotations

from typing import NoReturn

from ...conf.brokers import BrokerSettings
from ...exceptions import ConfigurationError
from ..interface import SourceKind, Subscription


class DatabaseDriver:
    """The driver of ``database:``, of which nothing can be opened."""

    def __init__(self, settings: BrokerSettings) -> None:
        self._name = settings.name

    def check(self, subscription: Subscription) -> None:
        """Refuse options that say something about a server."""
        for option in ("group", "bind"):
            if getattr(subscription, option):
                raise ConfigurationError(
                    f"{option}: the broker {self._name!r} is this project's database, which has no {option}; leave it"
                    " out"
                )

    def source_kind(self, subscription: Subscription, /) -> SourceKind:
        """Return that it is a queue: no consumer owns a part of it."""
        return "queue"

    def open_sender(self) -> NoReturn:
        """Raise ConfigurationError: messages are delivered as they are published."""
        raise self._nothing_to_open()

    def open_source(self, subscription: Subscription) -> NoReturn:
        """Raise ConfigurationError: messages are jobs from the start."""
        raise self._nothing_to_open()

    def _nothing_to_open(self) -> ConfigurationError:
        return ConfigurationError(
            f"the broker {self._name!r} is this project's database: its messages are jobs as soon as they are"
            " published, and 'runworker' runs them; there is nothing to send and nothing to consume"
        )
