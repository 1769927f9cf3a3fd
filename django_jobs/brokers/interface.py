"""The contract between django_jobs and a message broker: what a driver offers, and the values that cross it.

A driver translates; it decides nothing and never touches the database. All of it is here, and one suite holds every
driver to it (``tests/brokers/contract.py``)::

    Driver ── one a broker of the setting BROKERS; made without network
      ├─ check(subscription)          wrong names and options of @consumes, without network
      ├─ open_sender() -> Sender      a connection that sends; one thread at a time
      │     send(messages) -> Sent | Refused | NotSent for each, in order; a batch is one flush
      └─ open_source(subscription) -> a connection that receives; one thread at a time
            LogSource     the broker keeps messages by partition and position (Kafka, streams): *we* remember the
                          position, in the transaction that inserts the jobs; read(positions), then record(positions)
            QueueSource   the broker forgets a message once it is acknowledged (RabbitMQ, SQS, Pub/Sub, Redis groups):
                          receive(), then acknowledge(messages) after that commit

Out: ``publish`` enqueues a job; ``relay.py`` calls ``send`` with up to 500 of them and gives each job its end.
In: ``consumer.py`` reads a batch, ``intake.py`` inserts jobs and place in one transaction, and only then the source
hears of it. A message is never held while its job runs.

**Errors.** ``BrokerDownError`` from any method: the broker does not answer, or refuses everybody for now. The caller
drops this connection, opens another after a growing pause, and no message loses an attempt. ``ConfigurationError``
from ``open_*``: what the settings name is not there (topic, queue, subscription) or may not be used (wrong password);
it names the setting, what was expected and what came. Any other error is a bug of the driver. Texts need not hide
passwords, the callers do (``connecting.hiding_secrets``).

**To write a driver**: put ``BrokerScheme(...)`` for its URL into ``conf/broker_schemes.py``, the class into
``brokers/drivers/``, import the client in the methods that use it through ``import_client``, and add one line to
``tests/brokers/contract.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib import import_module
from types import MappingProxyType
from typing import Any, Literal, Protocol

from ..conf.broker_schemes import BrokerScheme
from ..conf.brokers import BrokerSettings
from ..exceptions import ConfigurationError, JobsError

__all__ = [
    "BrokerDownError",
    "Driver",
    "LogSource",
    "NotSent",
    "OutgoingMessage",
    "PartitionRange",
    "QueueSource",
    "ReceivedMessage",
    "Refused",
    "SendOutcome",
    "Sender",
    "Sent",
    "Source",
    "Subscription",
    "import_client",
    "import_extra",
]

Start = Literal["earliest", "latest"]


class BrokerDownError(JobsError, ConnectionError):
    """The broker does not answer, or takes and gives nothing for now. No message is to blame."""


# ---- out


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingMessage:
    """One message to send.

    ``destination``: topic, stream, queue, or ``exchange/routing.key``, as the driver documents. ``key``: messages of
    one destination and key are given to ``send`` in the order of their enqueues, one after another; the driver hands
    the key on (Kafka's key, MessageGroupId, ordering key). ``body``: the bytes to send as they are.

    ``attributes``: CloudEvents attributes by their plain names, always ``id`` (stable over retries), ``source``,
    ``type``, ``time``, ``specversion``. ``headers``: the publisher's, text to text; ``content-type`` is apart.
    ``wire_headers(prefix)`` has both in one dict. Where the broker knows a message id or a deduplication id, that is
    ``attributes["id"]``.
    """

    destination: str
    body: bytes
    key: str | None = None
    content_type: str = "application/json"
    attributes: Mapping[str, str]
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def id(self) -> str:
        """The stable id of the message."""
        return self.attributes["id"]

    def wire_headers(self, prefix: str) -> dict[str, str]:
        """Return headers and CloudEvents attributes in binary mode.

        ``prefix`` is that of the protocol's binding: ``ce_`` (Kafka), ``cloudEvents:`` (AMQP), ``ce-`` (all others).
        """
        return {**self.headers, **{prefix + name: value for name, value in self.attributes.items()}}


@dataclass(frozen=True, slots=True)
class Sent:
    """The broker has confirmed that it keeps the message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The broker does not take this message: too large, unknown topic, no queue bound.

    ``is_permanent``: it never will, and the job is dead at once; otherwise this was a failed attempt.
    """

    reason: str
    is_permanent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NotSent:
    """The broker has not answered for this message; it may have it. It is sent again, and no attempt is used up."""

    reason: str


SendOutcome = Sent | Refused | NotSent


class Sender(Protocol):
    """A connection that sends. Used by one thread at a time, for many batches."""

    def send(self, messages: Sequence[OutgoingMessage], /) -> Sequence[SendOutcome]:
        """Send all, wait for the broker's answers, and return an outcome for each, in the order of ``messages``.

        One flush a call. Each message has the outcome of its own answer, so that one bad message fails alone. If the
        connection breaks half way, those without an answer are NotSent; ``BrokerDownError`` means that all are.
        After either the caller closes this sender.
        """

    def close(self) -> None:
        """Close the connection. Never raises; may be called twice."""


# ---- in


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A source as ``@consumes`` names it. ``broker``, ``name`` and ``group`` together identify a source.

    ``name``: topic, queue, stream or subscription. ``group``: of consumers that share the work, and, for logs, one
    position. ``start``: where a log is read from if no position is stored. ``bind``: ``(exchange, pattern)`` pairs.
    ``stream``: the name is that of a stream, on a broker that has queues besides (``BrokerScheme.has_streams``).
    """

    broker: str
    name: str
    group: str
    start: Start = "earliest"
    bind: tuple[tuple[str, str], ...] = ()
    stream: bool = False

    @property
    def label(self) -> str:
        """The source in texts and commands: ``events/orders.placed``, with ``@group`` if that is not the project's."""
        return f"{self.broker}/{self.name}{f'@{self.group}' if self.group else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedMessage:
    """One message of a source.

    ``headers``: all of them as text, names as they came; values that are no UTF-8 are left out. ``content_type``: if
    the protocol has it apart. ``message_id``: the broker's own id, stable over redeliveries; None if it has none.
    ``sent_at``: the broker's time of it.

    Of a LogSource: ``partition``, ``position`` (this message) and ``next_position`` (read from there after it).
    Positions are texts that only the driver understands, up to 64 characters.
    Of a QueueSource: ``receipt``, whatever ``acknowledge`` needs.
    """

    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    content_type: str = ""
    key: str | None = None
    message_id: str | None = None
    sent_at: datetime | None = None
    partition: str = ""
    position: str = ""
    next_position: str = ""
    receipt: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionRange:
    """The bounds of one partition: the position of its first message, and the position behind its last."""

    first: str
    end: str


SourceKind = Literal["log", "queue"]
"""A log is read from positions that are stored here; a queue's broker knows what was acknowledged."""


class LogSource(Protocol):
    """Reads a log by positions that the caller keeps. Used by one thread at a time.

    The caller decides which partitions are read here; the driver joins no group and balances nothing.
    """

    kind: Literal["log"]

    def partitions(self) -> Sequence[str]:
        """Return all partitions that there are now, sorted. A stream that has none has one, named ``"0"``."""

    def range_of(self, partition: str, /) -> PartitionRange:
        """Return the bounds of a partition: where ``start="earliest"`` and ``"latest"`` begin."""

    def position_at(self, partition: str, instant: datetime, /) -> str:
        """Return the position of the first message at or after an instant; ``range_of(...).end`` if there is none.

        Raises NotImplementedError with a sentence if the broker cannot tell.
        """

    def order_of(self, position: str, /) -> Any:
        """Return a value that is ordered as positions of a partition are, such as the number that it is."""

    def lag(self, partition: str, position: str, /) -> int | None:
        """Return how many messages there are from ``position`` on; None if the broker cannot tell."""

    def read(self, positions: Mapping[str, str], /, *, limit: int, wait_seconds: float) -> Sequence[ReceivedMessage]:
        """Return up to ``limit`` messages of these partitions, each read from its position on, in order.

        Return what is there at once; wait up to ``wait_seconds`` only if there is nothing. The same positions may be
        given again: the messages are then read again. A position that the log no longer has (retention) reads on from
        the first message that it has.
        """

    def is_gap(self, partition: str, start: str, end: str, /) -> bool:
        """Tell whether there is certainly no message from ``start`` up to before ``end``.

        Asked after a ``read`` from ``start`` that gave nothing: such positions were deleted, or are marks of
        transactions. False if the broker does not tell.
        """

    def record(self, positions: Mapping[str, str], /) -> None:
        """Tell the broker how far its messages are stored, for its own tools. Best effort; may do nothing."""

    def close(self) -> None:
        """Close the connection. Never raises; may be called twice."""


class QueueSource(Protocol):
    """Receives messages that the broker keeps until they are acknowledged. Used by one thread at a time.

    ``redeliver_seconds``: after so long others are given what was received and not acknowledged; None: only after the
    end of the connection. Batches are made so small that they take less.
    """

    kind: Literal["queue"]
    redeliver_seconds: float | None

    def receive(self, *, limit: int, wait_seconds: float) -> Sequence[ReceivedMessage]:
        """Return up to ``limit`` messages, in the broker's order.

        Return what is there at once; wait up to ``wait_seconds`` only if there is nothing. No other consumer has them
        until they are acknowledged, released, or this source is closed (or its process dead, or a time over).
        """

    def acknowledge(self, messages: Sequence[ReceivedMessage], /) -> None:
        """Have the broker forget these messages: they are committed. One round trip if the protocol allows.

        An error is harmless: the broker delivers them again, and their ids are known.
        """

    def release(self, messages: Sequence[ReceivedMessage], /) -> None:
        """Have the broker deliver these messages again, soon, to anybody: they are not committed. Best effort."""

    def backlog(self) -> int | None:
        """Return about how many messages wait at the broker; None if it cannot tell."""

    def close(self) -> None:
        """Close the connection; what is not acknowledged is delivered again. Never raises; may be called twice."""


Source = LogSource | QueueSource


class Driver(Protocol):
    """A broker of the setting. ``Driver(settings)`` connects to nothing and imports no client."""

    def __init__(self, settings: BrokerSettings, /) -> None: ...

    def check(self, subscription: Subscription, /) -> None:
        """Raise ConfigurationError if this broker can have no such source: a wrong name, group, ``bind`` or ``start``.

        Without network. The text names the option, what was expected and what came.
        """

    def source_kind(self, subscription: Subscription, /) -> SourceKind:
        """Return the kind of a source, without network."""

    def open_sender(self) -> Sender:
        """Connect. Raises BrokerDownError or ConfigurationError."""

    def open_source(self, subscription: Subscription, /) -> Source:
        """Connect, bind what ``bind`` names, and start to receive. Raises BrokerDownError or ConfigurationError."""


def import_client(scheme: BrokerScheme, submodule: str = "") -> Any:
    """Import a broker's client, or raise ConfigurationError that names the extra which installs it."""
    return _import(scheme, f"{scheme.client}.{submodule}" if submodule else scheme.client, package=scheme.client)


def import_extra(scheme: BrokerScheme, module: str) -> Any:
    """Import a module that a broker's extra installs beside the client, or raise ConfigurationError that names it."""
    return _import(scheme, module, package=module)


def _import(scheme: BrokerScheme, module: str, *, package: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        if error.name is not None and not f"{package}.".startswith(f"{error.name}."):
            raise
        raise ConfigurationError(
            f"DJANGO_JOBS['BROKERS']: {scheme.name}: needs the package of {package!r}, which is not installed;"
            f" run pip install 'django-jobs-engine[{scheme.extra}]'"
        ) from error
