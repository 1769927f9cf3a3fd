"""How many messages a consumer asks for at once: 500, or fewer if they are large or take long."""

from __future__ import annotations

MAX_MESSAGES, FIRST_MESSAGES = 500, 100
MAX_BYTES = 16_000_000
"""Bodies of a batch; read, checked and written they take several times as much memory."""
GROWTH = 4
MAX_SECONDS = 5.0
"""How long a batch may take from its first message to the acknowledgement."""
REDELIVERY_SHARE = 3
"""A batch may take this part of the time after which its messages are given to others."""


def batch_seconds(redeliver_seconds: float | None) -> float:
    """Return how long a batch may take, if a broker gives its messages to others after so long; None: it never does."""
    return MAX_SECONDS if redeliver_seconds is None else min(MAX_SECONDS, redeliver_seconds / REDELIVERY_SHARE)


def next_limit(limit: int, *, messages: int, size: int, seconds: float = 0.0, max_seconds: float = MAX_SECONDS) -> int:
    """Return the limit of the next batch after one of ``messages`` with bodies of ``size`` bytes in all.

    Messages as large as those would fill 16 MB, and so many as came in ``seconds`` would take ``max_seconds``; the time
    of a batch that was not full counts only if it was too long, because it has waited. The limit grows by steps, as the
    next messages may be larger.
    """
    if not messages:
        return limit
    by_time = MAX_MESSAGES
    if seconds > max_seconds or (messages >= limit and seconds > 0):
        by_time = int(messages * max_seconds / seconds)
    return max(min(MAX_MESSAGES, MAX_BYTES * messages // max(size, 1), by_time, limit * GROWTH), 1)
