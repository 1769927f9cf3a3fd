"""Tell a Kafka that is down from one that is set up otherwise than the settings say, and from a message it refuses."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from ....exceptions import ConfigurationError
from ...interface import BrokerDownError, NotSent, Refused, SendOutcome

T = TypeVar("T")

REJECTED = (
    "_AUTHENTICATION",
    "CLUSTER_AUTHORIZATION_FAILED",
    "ILLEGAL_SASL_STATE",
    "SASL_AUTHENTICATION_FAILED",
    "TOPIC_AUTHORIZATION_FAILED",
    "UNSUPPORTED_SASL_MECHANISM",
)
"""Errors that only another user, password or access list ends."""
UNVERIFIED = "certificate verify failed"
OWN_WORD = "Local: "
"""In errors that the client found itself: a login that breaks off with the connection is no answer of the server."""
MISSING = ("UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC", "_UNKNOWN_PARTITION")
NEVER = ("INVALID_MSG", "INVALID_RECORD", "MSG_SIZE_TOO_LARGE", "TOPIC_EXCEPTION")
"""What no later attempt can send."""
FOR_NOW = (
    "BROKER_NOT_AVAILABLE",
    "INVALID_PRODUCER_EPOCH",
    "KAFKA_STORAGE_ERROR",
    "LEADER_NOT_AVAILABLE",
    "NETWORK_EXCEPTION",
    "NOT_ENOUGH_REPLICAS",
    "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
    "NOT_LEADER_FOR_PARTITION",
    "OUT_OF_ORDER_SEQUENCE_NUMBER",
    "REPLICA_NOT_AVAILABLE",
    "REQUEST_TIMED_OUT",
    "THROTTLING_QUOTA_EXCEEDED",
    "UNKNOWN_PRODUCER_ID",
)
"""How a server refuses everybody for a while. Errors of the client itself are below zero, and pass too."""
FIRST_STEP_SECONDS = 0.25


class Errors:
    """Translates what one client says: to its calls, and by itself to ``hear``."""

    def __init__(self, module: Any, *, label: str, seconds: float) -> None:
        self._module = module
        self._label = label
        self._seconds = seconds
        self._heard = ""
        self._rejected = ""
        self.is_down = False

    @property
    def exception(self) -> type[Exception]:
        """The class of the client's exceptions."""
        found: type[Exception] = self._module.KafkaException
        return found

    def hear(self, error: Any) -> None:
        """Remember an error that no call has caused: the client goes on connecting."""
        self._heard = error.str()
        if self._is(error, REJECTED) and OWN_WORD not in error.str():
            self._rejected = error.str()
        if UNVERIFIED in error.str():
            self._rejected = error.str()
        if self._is(error, ("_ALL_BROKERS_DOWN",)):
            self.is_down = True

    def is_end(self, error: Any) -> bool:
        """Tell whether this is no error: the client says that it has read a partition to its end."""
        return self._is(error, ("_PARTITION_EOF",))

    def connect(self, client: Any, ask: Callable[[float], T]) -> T:
        """Return the answer to ``ask(seconds)``, the first question. It ends early if it is known that none will come.

        Raises BrokerDownError or ConfigurationError.
        """
        until, step = time.monotonic() + self._seconds, FIRST_STEP_SECONDS
        while True:
            try:
                return ask(min(step, max(until - time.monotonic(), 0.01)))
            except self.exception as error:
                client.poll(0)  # has ``hear`` called
                if self._rejected:
                    raise self._rejection(self._rejected) from error
                if self.is_down or time.monotonic() >= until:
                    raise self._down(error.args[0]) from error
            step *= 2

    def ask(self, question: Callable[[float], T]) -> T:
        """Return the answer to ``question(seconds)``, which may also be None. Raises BrokerDownError."""
        try:
            return question(self._seconds)
        except self.exception as error:
            raise self._down(error.args[0]) from error

    def check_topic(self, name: str, error: Any) -> None:
        """Raise ConfigurationError or BrokerDownError for the error in a topic's metadata."""
        if error is None:
            return
        if self._is(error, REJECTED):
            raise self._rejection(error.str())
        if self._is(error, (*MISSING, *NEVER)):
            raise ConfigurationError(
                f"{self._label}: expected a topic {name!r}, but there is none ({error.str()}); create it, or correct"
                " the name in @consumes"
            )
        raise self._down(error)

    def outcome(self, error: Any, topic: str) -> SendOutcome:
        """Return the outcome of a message that was answered by an error."""
        if self._is(error, MISSING):
            return Refused(reason=f"there is no topic {topic!r}")
        if self._is(error, NEVER):
            return Refused(reason=error.str(), is_permanent=True)
        if error.code() < 0 or self._is(error, FOR_NOW):
            return self.not_sent(error.str())
        return Refused(reason=error.str())

    def not_sent(self, reason: str) -> NotSent:
        """Return the outcome of a message without an answer, with what was heard meanwhile."""
        return NotSent(reason=f"{reason} ({self._heard})" if self._heard else reason)

    def down(self, reason: str) -> BrokerDownError:
        """Return the error of a broker that does not answer."""
        return BrokerDownError(f"{reason} ({self._heard})" if self._heard else reason)

    def _down(self, error: Any) -> BrokerDownError:
        return self.down(error.str())

    def _rejection(self, text: str) -> ConfigurationError:
        if UNVERIFIED in text:
            return ConfigurationError(
                f"{self._label}: expected a broker's certificate that can be verified; name the authority that signed"
                f' it by "options": {{"ssl.ca.location": ...}}: {text}'
            )
        return ConfigurationError(
            f"{self._label}: expected a user, password and SASL options that Kafka admits; it answers: {text}"
        )

    def _is(self, error: Any, names: tuple[str, ...]) -> bool:
        return error.code() in {getattr(self._module.KafkaError, name, None) for name in names}
