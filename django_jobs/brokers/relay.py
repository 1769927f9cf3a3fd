"""The job that sends messages: up to 500 of one broker in a call, each with an end of its own.

::

    claimed jobs of one broker ──send──> Sent      the job has succeeded
                                         Refused   a failed attempt, or dead at once; it holds back its key only
                                         NotSent   snoozed: the broker did not answer, and no attempt is used up
    the broker is down ──> its queue is suspended: nothing is claimed; after growing pauses one message is, as a test

The id of a message is made of the job's, so every attempt sends the same one.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, assert_never

from ..chunks import Chunk, ChunkItem
from ..conf import get_settings, project_name
from ..conf.brokers import BrokerSettings
from ..definition import job
from ..exceptions import MessageRefusedError
from ..limits import Ordering
from ..policy.cloud_events import event_attributes, message_id
from ..policy.limits import MAX_KEY_LENGTH
from ..policy.outage_pauses import FIRST_SECONDS
from .connecting import find_settings, senders
from .interface import BrokerDownError, NotSent, OutgoingMessage, Refused, SendOutcome, Sent

logger = logging.getLogger("django_jobs.brokers")

CHUNK_SIZE = 500
KNOWN_UP_SECONDS = FIRST_SECONDS / 2
"""Shorter than the first pause: a test that succeeds always finds the outage that it ends."""
CONTENT_TYPE = "content-type"
_write_json = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
"""Made once: ``json.dumps`` makes an encoder for each call that gives it options."""


class MessageArgument(TypedDict, total=False):
    """The argument of a job that sends a message; ``body`` is JSON, or bytes."""

    broker: str
    destination: str
    body: Any
    key: str
    headers: dict[str, str]
    type: str


def ordering_key(argument: Mapping[str, Any]) -> str | None:
    """Return the key under which messages are sent one after another; None for one without a key."""
    key = argument.get("key")
    if not key:
        return None
    text = f"{argument['broker']}/{argument['destination']}/{key}"
    if len(text) <= MAX_KEY_LENGTH:
        return text
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=32).hexdigest()


def holds_key_when_dead(argument: Mapping[str, Any]) -> bool:
    """Tell whether a dead message of this broker holds back the later ones of its key."""
    settings = get_settings().brokers.get(argument["broker"])
    return settings is not None and settings.holds_key_of_dead


@job(
    name="django_jobs.send_messages",
    chunk=Chunk(CHUNK_SIZE, by=("broker",)),
    ordering_key=Ordering(key=ordering_key, name="django_jobs.messages", hold_when_dead=holds_key_when_dead),
)
def send_messages(messages: Sequence[ChunkItem[MessageArgument]]) -> None:
    """Send the messages of one broker and give each job its end."""
    settings = find_settings(messages[0].arguments["broker"])
    project = project_name()
    outcomes = _send(settings, [_outgoing(item, project) for item in messages])
    unanswered = [item for item, outcome in zip(messages, outcomes, strict=True) if _end(item, outcome)]
    if not unanswered:
        _checks.answered(settings)
        return
    pause = _checks.failed(settings, next(outcome.reason for outcome in outcomes if isinstance(outcome, NotSent)))
    for item in unanswered:
        item.snooze(pause)


def _send(settings: BrokerSettings, messages: Sequence[OutgoingMessage]) -> Sequence[SendOutcome]:
    """Send by a connection of the pool; if that was cut off since its last use, by a new one."""
    outcomes, is_used = _send_once(settings, messages, is_fresh=False)
    if is_used and all(isinstance(outcome, NotSent) for outcome in outcomes):
        outcomes, _ = _send_once(settings, messages, is_fresh=True)
    return outcomes


def _send_once(
    settings: BrokerSettings, messages: Sequence[OutgoingMessage], *, is_fresh: bool
) -> tuple[Sequence[SendOutcome], bool]:
    """Return the outcomes, and whether the connection had been used before."""
    try:
        sender, is_used = senders.take(settings, is_fresh=is_fresh)
    except BrokerDownError as error:
        return [NotSent(reason=str(error))] * len(messages), False
    is_intact = False
    try:
        outcomes = sender.send(messages)
        is_intact = not any(isinstance(outcome, NotSent) for outcome in outcomes)
    except BrokerDownError as error:
        outcomes = [NotSent(reason=str(error))] * len(messages)
    finally:
        if is_intact:
            senders.put(settings, sender)
        else:
            sender.close()
            senders.close(settings)
    return outcomes, is_used


def _end(item: ChunkItem[MessageArgument], outcome: SendOutcome) -> bool:
    """Give a job its end by the broker's answer; True if there was none."""
    match outcome:
        case Sent():
            item.succeed()
        case Refused(reason=reason, is_permanent=is_permanent):
            said = find_settings(item.arguments["broker"]).hide(reason)
            destination = item.arguments["destination"]
            if is_permanent:
                item.discard(f"{destination}: {said}")
            else:
                item.fail(MessageRefusedError(f"{destination}: {said}"))
        case NotSent():
            return True
        case _:
            assert_never(outcome)
    return False


def _outgoing(item: ChunkItem[MessageArgument], project: str) -> OutgoingMessage:
    """Return the message of a job; without a look at its context, whose run costs the worker more than the message."""
    argument, enqueued = item.arguments, item.enqueued
    body, headers = argument["body"], dict(argument.get("headers", {}))
    is_bytes = isinstance(body, bytes)
    content_type = "application/octet-stream" if is_bytes else "application/json"
    for name in [name for name in headers if name.lower() == CONTENT_TYPE]:
        content_type = headers.pop(name)
    return OutgoingMessage(
        destination=argument["destination"],
        body=body if is_bytes else json_bytes(body),
        key=argument.get("key"),
        content_type=content_type,
        attributes=event_attributes(
            event_id=message_id(installation=project, job_id=item.job_id, enqueued=enqueued),
            source=f"/{project}",
            event_type=argument.get("type") or argument["destination"],
            enqueued=enqueued,
        ),
        headers=headers,
    )


def json_bytes(body: Any) -> bytes:
    """Return a body as JSON in UTF-8; half a surrogate pair, which UTF-8 has not, as its escape."""
    try:
        return _write_json(body).encode()
    except UnicodeEncodeError:
        return json.dumps(body, separators=(",", ":")).encode()


class _BrokerChecks:
    """Tells all workers by the database which broker is down, and when it answers again."""

    def __init__(self) -> None:
        self._known_up: dict[BrokerSettings, float] = {}
        """When this process last made sure that no worker takes the broker for down (monotonic seconds)."""

    def failed(self, settings: BrokerSettings, reason: str) -> float:
        """Record that a broker did not answer; return the seconds until it is tried again."""
        from ..store.messages.outages import record_outage

        self._known_up.pop(settings, None)
        error = settings.hide(reason)
        outage = record_outage(settings.name, error)
        text = "the broker %r does not answer; trying again in %.0f s: %s"
        logger.log(logging.WARNING if outage.is_new else logging.INFO, text, settings.name, outage.pause_seconds, error)
        return outage.pause_seconds

    def answered(self, settings: BrokerSettings) -> None:
        """Record that a broker answers; without a statement if that was made sure of a moment ago."""
        from ..store.messages.outages import end_outage

        now = time.monotonic()
        if now < self._known_up.get(settings, -math.inf) + KNOWN_UP_SECONDS:
            return
        if end_outage(settings.name):
            logger.warning("the broker %r answers again", settings.name)
        self._known_up[settings] = now


_checks = _BrokerChecks()
