"""Error codes of Pub/Sub: about a message, about a topic or subscription, or about everybody for now."""

from __future__ import annotations

from typing import Any

from ....exceptions import ConfigurationError
from ...interface import BrokerDownError, NotSent, Refused

INVALID = "INVALID_ARGUMENT"
FOR_NOW = (
    "ABORTED",
    "CANCELLED",
    "DEADLINE_EXCEEDED",
    "INTERNAL",
    "RESOURCE_EXHAUSTED",
    "UNAUTHENTICATED",
    "UNAVAILABLE",
    "UNKNOWN",
)
"""Codes that end by themselves, or once an operator does something: no message is to blame."""
SET_UP = ("FAILED_PRECONDITION", "INVALID_ARGUMENT", "NOT_FOUND", "PERMISSION_DENIED", "UNAUTHENTICATED")
"""Codes that only other settings, rights or subscriptions end."""
TIMED_OUT = "DEADLINE_EXCEEDED"


def code_of(error: Any) -> str:
    """Return the name of an error's code."""
    return str(error.code().name)


def text_of(error: Any) -> str:
    """Return what an error says."""
    return f"{code_of(error)}: {error.details()}"


def outcome_of(error: Any, topic: str) -> Refused | NotSent:
    """Return the outcome of messages that were answered by an error, if each of them would be."""
    code = code_of(error)
    if code in FOR_NOW:
        return NotSent(reason=text_of(error))
    if code == "NOT_FOUND":
        return Refused(reason=f"there is no topic {topic!r}; Pub/Sub answers {text_of(error)}")
    return Refused(reason=text_of(error), is_permanent=code == INVALID)


def opening_error(error: Any, *, label: str, project: str, subscription: str) -> ConfigurationError | BrokerDownError:
    """Return the error of the contract for a subscription that cannot be pulled."""
    code = code_of(error)
    if code not in SET_UP:
        return BrokerDownError(text_of(error))
    if code == "UNAUTHENTICATED":
        text = f"{label}['options']['credentials_file']: expected credentials that Pub/Sub accepts"
    elif code == "PERMISSION_DENIED":
        text = f"{label}: expected credentials that may consume {subscription!r} (roles/pubsub.subscriber)"
    elif code == "NOT_FOUND":
        text = (
            f"{label}: expected a subscription {subscription!r} in the project {project!r} of the URL, but there is"
            " none; create it, or correct the name in @consumes or the project"
        )
    else:
        text = (
            f"{label}: expected a subscription {subscription!r} that is pulled; for one that Pub/Sub"
            ' pushes set "options": {"push": ...}'
        )
    return ConfigurationError(f"{text}; it answers {text_of(error)}")
