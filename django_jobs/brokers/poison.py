"""Poison: messages that cannot become jobs, kept as dead letters; to redrive one is to read it again.

A poison message becomes a job of its own, in the transaction that moves the position. It carries the body and tries
what the consumer tried: with today's code it may fit, and then it enqueues what it should have been. Otherwise it is
dead, with the reason. So search, alerts, redrive, resolve and retention of poison are those of any dead letter.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..arguments.serialization import encode
from ..definition import job
from ..exceptions import PoisonMessageError, SerializationError
from ..policy.poison import MAX_BODY_BYTES, READ_MESSAGE
from .converting import Poison, enqueue_messages
from .interface import ReceivedMessage
from .subscriptions import Consumption, find_consumption

if TYPE_CHECKING:
    from ..models import Job


@job(name=READ_MESSAGE, max_attempts=1, discard_on=PoisonMessageError, atomic=True)
def read_message(
    source: dict[str, str],
    body: Any,
    headers: dict[str, str],
    key: str | None = None,
    message_id: str | None = None,
    partition: str = "",
    position: str = "",
    size: int = 0,
    reason: str = "",
    left_out: str = "",
) -> dict[str, Any]:
    """Read a poison message again; return ``jobs``, the ids of the jobs that it has become.

    ``body``: JSON if it is some, so that secrets in it are masked by their names; else text, else bytes; the first
    64 KB of a longer one. ``reason``: why the consumer did not take it. ``left_out``: what else no job can keep.
    """
    consumption = find_consumption(source["broker"], source["name"], source["group"], job_name=source["job"])
    label = f"{source['broker']}/{source['name']}"
    place = f"{label}, partition {partition}, position {position}" if position else label
    if consumption is None:
        raise PoisonMessageError(f"{place}: job {source['job']!r} does not consume {label} any more")
    raw = _as_bytes(body)
    if left_out:
        raise PoisonMessageError(f"{place}: {reason}; it is kept without its {left_out}, which no job can store")
    if size > len(raw) and size > MAX_BODY_BYTES:
        raise PoisonMessageError(f"{place}: {reason}; only its first {MAX_BODY_BYTES} bytes are kept")
    message = ReceivedMessage(
        body=raw, headers=headers, key=key, message_id=message_id, partition=partition, position=position
    )
    result = enqueue_messages(consumption, [message])
    if result.poison:
        raise PoisonMessageError(f"{place}: {result.poison[0].reason}")
    return {"jobs": result.job_ids}


def enqueue_poison(consumption: Consumption, poison: Sequence[Poison]) -> list[Job]:
    """Enqueue, in the caller's transaction, the jobs that keep poison messages, and return them."""
    subscription = consumption.subscription
    source = {
        "broker": subscription.broker,
        "name": subscription.name,
        "group": subscription.group,
        "job": consumption.definition.name,
    }
    return read_message.enqueue_many([_storable(source, message, reason) for message, reason in poison])


def _storable(source: Mapping[str, str], message: ReceivedMessage, reason: str) -> dict[str, Any]:
    """Return the arguments that keep a message, with less of it if all of it cannot be stored in a job.

    Header names with NUL, or more than ENQUEUE["MAX_PAYLOAD_BYTES"] beside the body: a consumer that failed at such a
    message would read it again and again.
    """
    from ..store.enqueue.insert import serialize_arguments

    whole: dict[str, Any] = {
        "source": source,
        "body": _as_shown(message.body[:MAX_BODY_BYTES]),
        "headers": dict(message.headers),
        "key": message.key,
        "message_id": message.message_id,
        "partition": message.partition,
        "position": message.position,
        "size": len(message.body),
        "reason": reason,
    }
    beside: dict[str, Any] = {"headers": {}, "key": None, "message_id": None, "left_out": "headers, key and id"}
    body = {**beside, "body": b"", "left_out": "headers, key, id and body"}
    for left_out in (dict[str, Any](), beside):
        kept = whole | left_out
        try:
            serialize_arguments(READ_MESSAGE, {name: encode(value, what=name) for name, value in kept.items()})
        except SerializationError:
            continue
        return kept
    return whole | body


def _as_shown(body: bytes) -> Any:
    """Return a body in the form in which secrets can be masked, if it has one that can be stored."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return body
    try:
        value = json.loads(text)
        encode(value, what="body", depth=1)
    except (ValueError, RecursionError):  # no JSON, or none that can be stored
        return text
    return value if isinstance(value, (dict, list)) else text


def _as_bytes(body: Any) -> bytes:
    if isinstance(body, bytes):
        return body
    return (body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)).encode("utf-8", "surrogatepass")
