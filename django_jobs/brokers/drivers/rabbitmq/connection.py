"""One connection to RabbitMQ, and what its errors mean: it is down, or set up otherwise than the settings say."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from ....conf.brokers import BrokerSettings
from ....exceptions import ConfigurationError
from ...interface import BrokerDownError

T = TypeVar("T")

PORTS = {"amqp": 5672, "amqps": 5671}
CONNECT_SECONDS, ANSWER_SECONDS = 5.0, 30.0
SET_UP_CODES = (402, 403, 404, 405, 406, 530)
"""Replies that only other settings, rights or queues end: access refused, not found, locked, unlike, not allowed."""
FOR_NOW = ("limit", "is down or inaccessible", "does not have a replica on the local node")
"""In replies of these codes that another time or another node ends: the node of a queue is starting."""


class RabbitConnection:
    """A connection of the client ``amqp``, open; ``client`` is its module."""

    def __init__(self, client: Any, connection: Any, *, label: str) -> None:
        self._client = client
        self._connection = connection
        self._label = label
        self._is_closed = False
        self.channel_errors: type[Exception] = client.exceptions.ChannelError
        self.not_found: type[Exception] = client.exceptions.NotFound
        self.blocked_by = ""
        connection.on_blocked = self._on_blocked
        connection.on_unblocked = self._on_unblocked

    def open_channel(self) -> Any:
        """Return a channel that leaves bodies as the bytes that they are."""
        channel = self._connection.Channel(self._connection, auto_decode=False)
        self.ask(channel.open)
        return channel

    @property
    def is_open(self) -> bool:
        """True until either side has closed it, or a call has found it broken."""
        return bool(self._connection.connected)

    def drain(self, timeout: float) -> bool:
        """Have callbacks called for the next event; False if none came in time. Raises what the client raises."""
        try:
            self._connection.drain_events(timeout=timeout)
        except TimeoutError:
            return False
        return True

    def drain_all(self) -> None:
        """Have callbacks called for all that has come; waits for nothing."""
        while self.drain(0.0):
            pass

    def write(self, frames: bytes) -> None:
        """Send frames as they are. Raises what the client raises."""
        self._connection.write(frames)

    @property
    def frame_max(self) -> int:
        """The bytes of a frame that the broker takes."""
        return int(self._connection.frame_max)

    def tick(self) -> None:
        """Send a heartbeat if it is time for one."""
        self._connection.heartbeat_tick()

    def ask(self, command: Callable[[], T], *, passing: type[Exception] | tuple[type[Exception], ...] = ()) -> T:
        """Return what a command returns; errors of ``passing`` come through. Raises BrokerDownError."""
        try:
            return command()
        except passing:
            raise
        except (self._client.AMQPError, OSError) as error:
            raise BrokerDownError(text_of(error)) from error

    def set_up(self, command: Callable[[], object], *, expected: str) -> None:
        """Call what the settings ask for. Raises ConfigurationError if the broker refuses it."""
        try:
            self.ask(command, passing=self._client.AMQPError)
        except self._client.AMQPError as error:
            raise translate(error, label=self._label, expected=expected) from error

    def close(self) -> None:
        """Close it; nothing is raised."""
        if self._is_closed:
            return
        self._is_closed = True
        with suppress(Exception):
            self._connection.close()
        with suppress(Exception):
            self._connection.collect()

    def _on_blocked(self, reason: str) -> None:
        self.blocked_by = reason

    def _on_unblocked(self) -> None:
        self.blocked_by = ""


def connect(client: Any, settings: BrokerSettings, *, label: str, heartbeat: float) -> RabbitConnection:
    """Connect to the first host that answers. Raises BrokerDownError or ConfigurationError."""
    from .buffered import BufferedConnection

    expected = "a user, password and virtual host that RabbitMQ admits"
    failures = []
    for host in settings.url.hosts:
        connection = BufferedConnection(
            _with_port(host, PORTS[settings.scheme.name]),
            userid=settings.url.user or "guest",
            password=settings.url.password or ("" if settings.url.user else "guest"),
            login_method="PLAIN",
            virtual_host=settings.url.path or "/",
            ssl=_tls_options(settings, host) if settings.scheme.name == "amqps" else False,
            connect_timeout=CONNECT_SECONDS,
            read_timeout=ANSWER_SECONDS,
            write_timeout=ANSWER_SECONDS,
            heartbeat=heartbeat,
            client_properties={"connection_name": "django_jobs"},
        )
        try:
            connection.connect()
        except ssl.SSLCertVerificationError as error:
            connection.collect()
            raise ConfigurationError(
                f"{label}: expected a certificate of {host} that can be verified; name the authority that signed it by"
                f' "options": {{"ca_file": ...}}: {error}'
            ) from error
        except client.AMQPError as error:
            connection.collect()
            translated = translate(error, label=label, expected=expected)
            if isinstance(translated, ConfigurationError):
                raise translated from error
            failures.append(f"{host}: {translated}")
        except ValueError as error:
            raise ConfigurationError(f"{label}: expected hosts such as host:5672, got {host!r}") from error
        except OSError as error:
            if isinstance(error, FileNotFoundError):
                raise ConfigurationError(
                    f"{label}: expected files for ca_file, cert_file and key_file: {error}"
                ) from error
            failures.append(f"{host}: {text_of(error)}")
        else:
            return RabbitConnection(client, connection, label=label)
    raise BrokerDownError("; ".join(failures))


def translate(error: Any, *, label: str, expected: str) -> ConfigurationError | BrokerDownError:
    """Return the error of the contract that stands for one of the client."""
    if error.reply_code in SET_UP_CODES and not is_for_now(error):
        return ConfigurationError(f"{label}: expected {expected}; it answers: {text_of(error)}")
    return BrokerDownError(text_of(error))


def is_for_now(error: Any) -> bool:
    """Tell whether an error names a state that passes, under a reply code that stands for what is set up wrong."""
    return any(text in (error.reply_text or "") for text in FOR_NOW)


def text_of(error: Exception) -> str:
    """Return the text of an error, or its name if it has none."""
    return str(error) or type(error).__name__


def _with_port(host: str, port: int) -> str:
    name = host.rpartition("]")[2] if host.startswith("[") else host
    return host if ":" in name else f"{host}:{port}"


def _tls_options(settings: BrokerSettings, host: str) -> dict[str, object]:
    """Return options under which the server's certificate and name are verified."""
    name = host.rpartition("]")[0][1:] if host.startswith("[") else host.partition(":")[0]
    return {
        "server_hostname": name,
        "cert_reqs": ssl.CERT_REQUIRED,
        "ca_certs": settings.options.get("ca_file"),
        "certfile": settings.options.get("cert_file"),
        "keyfile": settings.options.get("key_file"),
    }
