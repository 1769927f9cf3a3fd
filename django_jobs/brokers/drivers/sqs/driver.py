"""Connect to SQS: a sender, or the queue that a subscription names."""

from __future__ import annotations

import math
import re
from datetime import timedelta

from ....conf.brokers import BrokerSettings
from ....exceptions import ConfigurationError
from ...interface import SourceKind, Subscription
from .connection import SqsConnection
from .errors import AnswerError
from .names import parse_name
from .queue import SqsQueue, no_queue
from .sender import SqsSender

MAX_REDELIVER_AFTER = timedelta(hours=12)
_REGION = re.compile(r"[a-z0-9-]+")


class SqsDriver:
    """The driver of ``sqs:``."""

    def __init__(self, settings: BrokerSettings, /) -> None:
        self._settings = settings

    def check(self, subscription: Subscription, /) -> None:
        """Refuse ``bind``, ``group``, ``start="latest"`` and a name that no queue can have."""
        if subscription.bind:
            raise ConfigurationError("bind: SQS has no exchanges to bind a queue to; leave it out")
        if subscription.group:
            raise ConfigurationError(
                f"group: a queue of SQS has no groups, got {subscription.group!r}; leave it out: all consumers of a"
                " queue share it, and each other purpose gets a queue of its own"
            )
        if subscription.start != "earliest":
            raise ConfigurationError(
                f"start: a queue of SQS is read from its first message, got {subscription.start!r}; leave it out"
            )
        self._check_settings()
        try:
            parse_name(subscription.name)
        except ValueError as error:
            raise ConfigurationError(f"name: {error}") from None

    def source_kind(self, subscription: Subscription, /) -> SourceKind:
        """Return that it is a queue."""
        return "queue"

    def open_sender(self) -> SqsSender:
        """Connect."""
        self._check_settings()
        connection = SqsConnection(self._settings)
        try:
            connection.check_credentials()
        except BaseException:
            connection.close()
            raise
        return SqsSender(connection)

    def open_source(self, subscription: Subscription, /) -> SqsQueue:
        """Connect, and see that the queue is there."""
        self.check(subscription)
        connection = SqsConnection(self._settings)
        try:
            return SqsQueue(connection, subscription.name, hidden_seconds=self._hidden_seconds)
        except BaseException as error:
            connection.close()
            if isinstance(error, AnswerError):
                raise no_queue(connection, subscription.name, error) from error
            raise

    @property
    def _label(self) -> str:
        return f"DJANGO_JOBS['BROKERS'][{self._settings.name!r}]"

    @property
    def _hidden_seconds(self) -> int | None:
        given: timedelta | None = self._settings.options.get("redeliver_after")
        return None if given is None else math.ceil(given.total_seconds())

    def _check_settings(self) -> None:
        url = self._settings.url
        if len(url.hosts) > 1 or url.user or url.password or url.path or url.query or not _is_region(url.hosts[0]):
            raise ConfigurationError(
                f"{self._label}['url']: expected a region, such as sqs://eu-central-1, and nothing else; a server's"
                " address goes under 'options' as 'endpoint_url', and credentials as 'aws_access_key_id' and"
                " 'aws_secret_access_key'"
            )
        given: timedelta | None = self._settings.options.get("redeliver_after")
        if given is not None and given > MAX_REDELIVER_AFTER:
            raise ConfigurationError(
                f"{self._label}['options']['redeliver_after']: SQS hides a message for up to 12 hours, got {given}"
            )


def _is_region(text: str) -> bool:
    return bool(_REGION.fullmatch(text))
