"""Connect to Redis: a sender, or the source that a subscription names."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from ....conf.brokers import BrokerSettings
from ....exceptions import ConfigurationError
from ...interface import Source, SourceKind, Subscription, import_client
from .errors import Errors
from .group import RedisGroup
from .sender import RedisSender
from .stream import RedisStream

REDELIVER_AFTER = timedelta(seconds=60)
"""So long a message may wait for its commit, before others take it: its consumer is dead."""
TLS_OPTIONS = (("ca_file", "ssl_ca_certs"), ("cert_file", "ssl_certfile"), ("key_file", "ssl_keyfile"))
CONNECT_SECONDS, ANSWER_SECONDS = 5.0, 30.0


class RedisDriver:
    """The driver of ``redis:`` and ``rediss:``."""

    def __init__(self, settings: BrokerSettings, /) -> None:
        self._settings = settings

    def check(self, subscription: Subscription, /) -> None:
        """Refuse ``bind``, and more than one host."""
        if subscription.bind:
            raise ConfigurationError("bind: Redis has no exchanges to bind a stream to; leave it out")
        self._check_hosts()

    def source_kind(self, subscription: Subscription, /) -> SourceKind:
        """Return that a stream is a queue for a group, and else a log."""
        return "queue" if subscription.group else "log"

    def open_sender(self) -> RedisSender:
        """Connect."""
        client, errors = self._connect()
        return RedisSender(
            client,
            errors,
            creates_streams=self._settings.options.get("create_streams", False),
            max_length=self._settings.options.get("max_length"),
        )

    def open_source(self, subscription: Subscription, /) -> Source:
        """Connect, see that the stream is there, and create the group if it is not."""
        client, errors = self._connect()
        try:
            kind = errors.ask(lambda: client.type(subscription.name)).decode()
            if kind == "none" and self._settings.options.get("create_streams", False):
                errors.ask(lambda: _create_stream(client, subscription.name))
            elif kind != "stream":
                found = "there is none" if kind == "none" else f"it is a {kind}"
                raise ConfigurationError(
                    f"{self._label}: expected a stream {subscription.name!r}, but {found}; create it, or set"
                    ' "options": {"create_streams": True}'
                )
            if not subscription.group:
                return RedisStream(client, errors, subscription.name)
            return RedisGroup(client, errors, subscription, redeliver_after=self._redeliver_after)
        except BaseException:
            client.close()
            raise

    @property
    def _label(self) -> str:
        return f"DJANGO_JOBS['BROKERS'][{self._settings.name!r}]"

    @property
    def _redeliver_after(self) -> timedelta:
        given: timedelta = self._settings.options.get("redeliver_after", REDELIVER_AFTER)
        return given

    def _has(self, option: str) -> bool:
        return self._settings.options.get(option) is not None

    def _check_hosts(self) -> None:
        if len(self._settings.url.hosts) > 1:
            raise ConfigurationError(
                f"{self._label}: expected one host, got {len(self._settings.url.hosts)}; for several use a proxy or a"
                " name that leads to the primary"
            )

    def _connect(self) -> tuple[Any, Errors]:
        self._check_hosts()
        redis = import_client(self._settings.scheme)
        errors = Errors(redis.exceptions, label=self._label)
        try:
            client = redis.Redis.from_url(
                self._settings.url.text,
                protocol=2,
                socket_connect_timeout=CONNECT_SECONDS,
                socket_timeout=ANSWER_SECONDS,
                **{name: self._settings.options[option] for option, name in TLS_OPTIONS if self._has(option)},
            )
        except (ValueError, TypeError) as error:
            raise ConfigurationError(f"{self._label}: {error}") from None
        try:
            errors.ask(client.ping)
        except BaseException:
            client.close()
            raise
        return client, errors


def _create_stream(client: Any, name: str) -> None:
    """Create an empty stream; nothing happens if another has done so."""
    client.xgroup_create(name, "django_jobs.create", id="0", mkstream=True)
    client.xgroup_destroy(name, "django_jobs.create")
