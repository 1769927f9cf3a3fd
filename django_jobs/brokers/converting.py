"""Enqueue the jobs that messages become; those that cannot become one are returned as poison, with the reason."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring as _quote
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from ..enqueueing import enqueue_bound, enqueue_ids
from ..exceptions import LimitKeyError, PoisonMessageError, SerializationError
from ..policy.cloud_events import received_id
from ..policy.metadata import MESSAGE
from ..policy.printable import printable
from ..registry import DefinedJob
from .interface import ReceivedMessage
from .reading import bind_message, check_storable
from .subscriptions import Consumption

if TYPE_CHECKING:
    from ..models import Job

J = TypeVar("J")


class Enqueue(Protocol[J]):
    """Inserts a job for each of the bound arguments, with metadata of its own."""

    def __call__(
        self, definition: DefinedJob, bound: Sequence[dict[str, Any]], /, *, metadata: Sequence[str]
    ) -> list[J]:
        """Insert them in the caller's transaction, in their order; ``metadata``: a JSON object for each."""


NO_MARKS: Mapping[str, Any] = MappingProxyType({})


class Poison(NamedTuple):
    """A message and the reason why it cannot become a job."""

    message: ReceivedMessage
    reason: str


class Enqueued(NamedTuple):
    """The ids of the jobs that messages have become, and the messages that are poison."""

    job_ids: list[int]
    poison: list[Poison]


class CheckedMessage(NamedTuple):
    """A message with the arguments of its job, or the reason why it is poison."""

    message: ReceivedMessage
    bound: dict[str, Any] | None
    reason: str = ""


def enqueue_messages(
    consumption: Consumption, messages: Sequence[ReceivedMessage], *, marks: Mapping[str, Any] = NO_MARKS
) -> Enqueued:
    """Enqueue a job for each message, in their order and in the caller's transaction; poison is returned, not kept.

    ``marks`` join what the jobs' metadata says of their message.
    """
    return enqueue_checked(consumption, check_messages(consumption, messages), marks=marks)


def enqueue_as_jobs(consumption: Consumption, messages: Sequence[ReceivedMessage]) -> tuple[list[Job], list[Poison]]:
    """Do what ``enqueue_messages`` does, and return the jobs instead of their ids."""
    checked = check_messages(consumption, messages)
    try:
        return _enqueue_all(consumption, checked, NO_MARKS, enqueue_bound)
    except (SerializationError, LimitKeyError):
        return _enqueue_all(consumption, storable_only(consumption, checked), NO_MARKS, enqueue_bound)


def check_messages(consumption: Consumption, messages: Sequence[ReceivedMessage]) -> list[CheckedMessage]:
    """Bind each message to the signature of the job that it becomes. No statement."""
    checked = []
    for message in messages:
        try:
            checked.append(CheckedMessage(message, bind_message(consumption, message)))
        except PoisonMessageError as error:
            checked.append(CheckedMessage(message, None, str(error)))
    return checked


def enqueue_checked(
    consumption: Consumption, checked: Sequence[CheckedMessage], *, marks: Mapping[str, Any] = NO_MARKS
) -> Enqueued:
    """Enqueue jobs in bulk. Only if one of the batch cannot be stored each is checked, to find which.

    That is known before the first statement, so nothing is rolled back.
    """
    try:
        return Enqueued(*_enqueue_all(consumption, checked, marks, enqueue_ids))
    except (SerializationError, LimitKeyError):
        return Enqueued(*_enqueue_all(consumption, storable_only(consumption, checked), marks, enqueue_ids))


def _enqueue_all(
    consumption: Consumption,
    checked: Sequence[CheckedMessage],
    marks: Mapping[str, Any],
    enqueue: Enqueue[J],
) -> tuple[list[J], list[Poison]]:
    good = [one for one in checked if one.bound is not None]
    poison = [Poison(one.message, one.reason) for one in checked if one.bound is None]
    if not good:
        return [], poison
    shared = json.dumps(_source_of(consumption) | dict(marks), ensure_ascii=False, separators=(",", ":"))
    head = f"{{{_quote(MESSAGE)}:{shared[:-1]}"
    metadata = [f"{head}{_place_of(one.message)}}}}}" for one in good]
    bound = [one.bound for one in good if one.bound is not None]
    return enqueue(consumption.definition, bound, metadata=metadata), poison


def storable_only(consumption: Consumption, checked: Sequence[CheckedMessage]) -> list[CheckedMessage]:
    """Return the messages, those as poison whose arguments cannot be stored."""
    found = []
    for one in checked:
        if one.bound is not None:
            try:
                check_storable(consumption, one.bound)
            except PoisonMessageError as error:
                found.append(CheckedMessage(one.message, None, str(error)))
                continue
        found.append(one)
    return found


def _source_of(consumption: Consumption) -> dict[str, Any]:
    """Return what a job's metadata tells of the source of its message."""
    subscription = consumption.subscription
    group = {"group": subscription.group} if subscription.group else {}
    return {"broker": subscription.broker, "name": subscription.name, **group}


def _place_of(message: ReceivedMessage) -> str:
    """Return what a job's metadata tells of its message, as members of a JSON object that go on behind others.

    Partition and position in a log, else its id, as it is shown: an id of others may have characters that no database
    takes. A text, because a dict for each message and its JSON took as long as the rest of the enqueue.
    """
    if message.position:
        return f',"partition":{_quote(message.partition)},"position":{_quote(message.position)}'
    found = received_id(message.headers, message.message_id)
    return "" if found is None else f',"id":{_quote(printable(found))}'
