"""The queue in which messages for a broker wait."""

from __future__ import annotations

QUEUE_PREFIX = "messages."


def queue_of(broker: str) -> str:
    """Return the queue in which a broker's messages wait: it is paused, counted and watched like any other."""
    return f"{QUEUE_PREFIX}{broker}"
