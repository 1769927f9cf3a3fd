"""Brokers ``database:``: a message is, in the publisher's transaction, a job for each subscriber of this project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..conf.brokers import BrokerSettings
from .converting import enqueue_as_jobs
from .interface import ReceivedMessage
from .poison import enqueue_poison
from .relay import json_bytes
from .subscriptions import subscribers

if TYPE_CHECKING:
    from ..models import Job


def deliver(settings: BrokerSettings, destination: str, arguments: Sequence[Mapping[str, Any]]) -> list[Job]:
    """Enqueue a job for each message and subscriber whose pattern matches, and return them by subscriber.

    A message that does not fit a subscriber is its dead letter, as if it had come from a server: the publisher does not
    know who listens.
    """
    from ..store.transactions import savepoint

    messages = [_as_received(argument) for argument in arguments]
    jobs: list[Job] = []
    with savepoint():
        for consumption in subscribers(settings.name, destination):
            enqueued, poison = enqueue_as_jobs(consumption, messages)
            jobs += enqueued
            if poison:
                jobs += enqueue_poison(consumption, poison)
    return jobs


def _as_received(argument: Mapping[str, Any]) -> ReceivedMessage:
    body = argument["body"]
    return ReceivedMessage(
        body=body if isinstance(body, bytes) else json_bytes(body),
        headers=argument.get("headers", {}),
        key=argument.get("key"),
    )
