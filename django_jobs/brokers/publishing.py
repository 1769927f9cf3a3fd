"""``publish``: enqueue, in the caller's transaction, the job that sends a message.

A broker ``database:`` has no server: there a message is, in the same transaction, a job for each subscriber.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async
from django.core.serializers.json import DjangoJSONEncoder

from ..exceptions import ArgumentsError, SerializationError
from ..policy.message_queues import queue_of
from .connecting import find_settings
from .local import deliver
from .relay import send_messages

if TYPE_CHECKING:
    from ..models import Job

MAX_DESTINATION_LENGTH = 255
_encoder = DjangoJSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message for ``publish_many``; the fields are explained at ``publish``. Checked when it is made."""

    body: Any
    key: str | None = None
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    type: str | None = None

    def __post_init__(self) -> None:
        texts: dict[str, object] = {"key": self.key, "type": self.type}
        for name, value in texts.items():
            if value is not None and not (isinstance(value, str) and value):
                raise ArgumentsError(f"publish: {name}: expected text or None, got {value!r:.100}")
        headers: object = self.headers
        if not isinstance(headers, Mapping) or not all(
            isinstance(name, str) and name.isprintable() and name and isinstance(text, str)
            for name, text in headers.items()
        ):
            raise ArgumentsError(f"publish: headers: expected a dict of text by name, got {type(headers).__name__}")
        for what, text in [*texts.items(), *((f"headers[{name!r}]", text) for name, text in headers.items())]:
            if isinstance(text, str) and not _is_utf8(text):
                raise ArgumentsError(f"publish: {what}: expected text, got half a surrogate pair in {text!a:.100}")

    def as_argument(self, broker: str, destination: str) -> dict[str, Any]:
        """Return the argument of the job that sends it. Raises SerializationError for a body that is no JSON."""
        argument: dict[str, Any] = {"broker": broker, "destination": destination, "body": _as_json(self.body)}
        given = {"key": self.key, "headers": dict(self.headers), "type": self.type}
        return argument | {name: value for name, value in given.items() if value}


def publish(
    broker: str,
    destination: str,
    body: Any,
    *,
    key: str | None = None,
    headers: Mapping[str, str] | None = None,
    type: str | None = None,  # noqa: A002 - the attribute's name in CloudEvents
) -> list[Job]:
    """Send a message when the caller's transaction commits; return the jobs that carry it: one, as a rule.

    A worker sends it, and again until the broker has confirmed it. If the transaction is rolled back, nothing is sent.

    broker: a name in the setting BROKERS. destination: the topic, queue, stream, or exchange and routing key.
    body: what JSON can carry, also dates, decimals and UUIDs as Django writes them; or bytes, sent as they are.
    key: messages of one destination and key arrive in the order of their enqueues. headers: text by name.
    type: the CloudEvents type; default: the destination.

    On a broker ``database:`` the jobs are those of the subscribers whose pattern matches; none if there are none.

    Raises ConfigurationError for an unknown broker, ArgumentsError, SerializationError and PayloadTooLargeError.
    """
    return publish_many(broker, destination, [NewMessage(body, key, headers or MappingProxyType({}), type)])


def publish_many(broker: str, destination: str, messages: Iterable[NewMessage]) -> list[Job]:
    """Send many messages to one destination, in their order; see ``publish``. All or none, inserted in bulk."""
    settings = find_settings(broker)
    _check_destination(destination)
    arguments = [_checked(message).as_argument(broker, destination) for message in messages]
    if settings.scheme.is_local:
        return deliver(settings, destination, arguments)
    return send_messages.using(queue_name=queue_of(broker)).enqueue_many([(argument,) for argument in arguments])


async def apublish(broker: str, destination: str, body: Any, **options: Any) -> list[Job]:
    """Do what ``publish`` does, from asynchronous code."""
    return await sync_to_async(partial(publish, broker, destination, body, **options))()


def _is_utf8(text: str) -> bool:
    """Tell whether a text can be sent: half a surrogate pair has no bytes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_destination(destination: object) -> None:
    if not (
        isinstance(destination, str)
        and 0 < len(destination) <= MAX_DESTINATION_LENGTH
        and destination.isprintable()
        and destination == destination.strip()
    ):
        raise ArgumentsError(
            f"publish: destination: expected 1 to {MAX_DESTINATION_LENGTH} printable characters, got"
            f" {str(destination)[:MAX_DESTINATION_LENGTH]!r}"
        )


def _checked(message: object) -> NewMessage:
    if isinstance(message, NewMessage):
        return message
    raise ArgumentsError(f"publish_many: expected NewMessage(body, key=...), got {type(message).__name__}")


def _as_json(body: object) -> Any:
    """Return bytes as they are, and anything else as JSON's own types: an error is the publisher's, not the relay's."""
    if isinstance(body, (bytes, bytearray, memoryview)):
        return bytes(body)
    try:
        return json.loads(_encoder.encode(body))
    except (TypeError, ValueError, RecursionError) as error:
        raise SerializationError(f"publish: body: expected what JSON can carry, or bytes: {error}") from None
