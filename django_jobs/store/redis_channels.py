"""The channels of Redis that wake workers: publish what was committed, subscribe in a worker.

A lost message costs no more than the poll, so nothing here is tried again, and a Redis that does not answer is left
alone for growing pauses: an enqueue waits for it once after each, for a quarter of a second.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from ..exceptions import ConfigurationError
from ..policy.broker_url import BrokerURL, hide_secrets
from ..policy.outage_pauses import outage_pause

logger = logging.getLogger("django_jobs.store")

ANSWER_SECONDS = 0.25
"""How long a connection or an answer may take: a request waits for it."""
KEEPALIVE_SECONDS = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}

_publishers: dict[str, Publisher] = {}


def channel_of(connection: BaseDatabaseWrapper, name: str) -> str:
    """Return the channel of a database: those of all its processes, if they know it by one name."""
    return f"{name}:{connection.settings_dict['NAME']}"


def open_client(url: BrokerURL, **options: Any) -> Any:
    """Return a client, which connects when it is used. Raises ConfigurationError if there is none, or it refuses."""
    try:
        from redis import Redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError as error:
        raise ConfigurationError(
            "DJANGO_JOBS['NOTIFIER']: needs the package of 'redis', which is not installed;"
            " run pip install 'django-jobs-engine[redis]'"
        ) from error
    try:
        return Redis.from_url(
            url.text,
            protocol=2,
            retry=Retry(NoBackoff(), 0),
            socket_connect_timeout=ANSWER_SECONDS,
            socket_timeout=ANSWER_SECONDS,
            **options,
        )
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"DJANGO_JOBS['NOTIFIER']: {hide_secrets(str(error), url.secrets)}") from None


class Outage:
    """A Redis that did not answer is left alone for pauses that grow from a second to a minute."""

    def __init__(self, url: BrokerURL) -> None:
        self._url = url
        self._failures = 0
        self._ends_at = 0.0

    @property
    def is_paused(self) -> bool:
        """True while it is left alone."""
        return time.monotonic() < self._ends_at

    def failed(self, error: Exception) -> None:
        """Begin the next pause; say so at the first."""
        self._failures += 1
        self._ends_at = time.monotonic() + outage_pause(self._failures)
        if self._failures == 1:
            text = hide_secrets(str(error), self._url.secrets)
            logger.warning("the notifier %s does not answer: %s; workers poll meanwhile", self._url, text)

    def succeeded(self) -> None:
        """End the outage."""
        if self._failures:
            self._failures = 0
            logger.info("the notifier %s answers again", self._url)


class Publisher:
    """Publishes for all threads of this process; its client has a connection for each that publishes at once."""

    def __init__(self, url: BrokerURL) -> None:
        self._url = url
        self._client: Any = None
        self._outage = Outage(url)

    def publish(self, channel: str, payload: str) -> None:
        """Publish, if the server answers. Never raises: a poll finds what it does not tell."""
        if self._outage.is_paused:
            return
        try:
            if self._client is None:
                self._client = open_client(self._url)
            self._client.publish(channel, payload)
        except Exception as error:  # noqa: BLE001 - the work is committed, and the caller's
            self._outage.failed(error)
        else:
            self._outage.succeeded()


class Subscription:
    """A connection that receives what is published on some channels from now on. Used by one thread.

    Raises an error of the client from the constructor and ``receive`` if the server does not answer or has gone.
    """

    def __init__(self, url: BrokerURL, channels: Sequence[str]) -> None:
        self._client = open_client(url, socket_keepalive=True, socket_keepalive_options=_keepalive())
        self._pubsub = self._client.pubsub()
        try:
            self._pubsub.subscribe(*channels)
            for _ in channels:
                if self._pubsub.get_message(timeout=ANSWER_SECONDS) is None:
                    raise TimeoutError(f"no answer within {ANSWER_SECONDS} s")
        except BaseException:
            self.close()
            raise

    def fileno(self) -> int:
        """Return the descriptor that is readable when something was published, or the connection has ended."""
        # The client has no public name for it.
        number: int = self._pubsub.connection._sock.fileno()  # noqa: SLF001
        return number

    def receive(self, take: Callable[[str, str], None], *, wait_seconds: float = 0.0) -> None:
        """Call ``take(channel, payload)`` for each message that has come; wait for the first so long."""
        while self._pubsub.connection.can_read(timeout=wait_seconds):
            wait_seconds = 0.0
            # The rest of a message may come in a later packet: without this time the client gives up at once.
            message = self._pubsub.get_message(timeout=ANSWER_SECONDS)
            if message is not None and message["type"] == "message":
                take(message["channel"].decode(errors="replace"), message["data"].decode(errors="replace"))

    def close(self) -> None:
        """Close the connection. Never raises."""
        for end in (self._pubsub, self._client):
            with suppress(Exception):
                end.close()


def publish(url: BrokerURL, channel: str, payload: str) -> None:
    """Publish through this process's client; see ``Publisher.publish``."""
    publisher = _publishers.get(url.text)
    if publisher is None:
        publisher = _publishers.setdefault(url.text, Publisher(url))
    publisher.publish(channel, payload)


def answers(url: BrokerURL) -> bool:
    """Tell whether a message that is published now arrives."""
    channel, word = "django_jobs.doctor", str(time.monotonic_ns())
    heard: list[str] = []
    try:
        subscription = Subscription(url, [channel])
    except ConfigurationError:
        raise
    except Exception:  # noqa: BLE001 - whatever it is, it does not arrive
        return False
    try:
        with suppress(Exception):
            open_client(url).publish(channel, word)
            subscription.receive(lambda _, payload: heard.append(payload), wait_seconds=ANSWER_SECONDS)
    finally:
        subscription.close()
    return word in heard


def _keepalive() -> dict[int, int]:
    """Return the options of a socket that end a connection whose other end is gone, as far as this system has them."""
    return {getattr(socket, name): seconds for name, seconds in KEEPALIVE_SECONDS.items() if hasattr(socket, name)}
