"""How long a claimer with nothing to claim pauses before it looks at the queues again.

Short pauses follow a notification, because another job may be enqueued at once without one. They double: a look
costs a statement. Where enqueues are not notified, pauses grow from short ones after the last claim.
"""

from __future__ import annotations

from dataclasses import dataclass

MIN_SECONDS = 0.01


@dataclass(slots=True)
class IdlePauses:
    """The pauses of one claimer; ``now`` is monotonic seconds."""

    _seconds: float = MIN_SECONDS
    _short_until: float = 0.0

    def notified(self, now: float, *, poll_seconds: float) -> None:
        """Begin short pauses, for ``poll_seconds``."""
        self._short_until = now + poll_seconds
        self._seconds = MIN_SECONDS

    def claimed(self) -> None:
        """Begin with a short pause again: more jobs may come."""
        self._seconds = MIN_SECONDS

    def are_short(self, now: float) -> bool:
        """Tell whether a notification was received a moment ago."""
        return now < self._short_until

    def next(self, now: float, *, interval: float, is_listening: bool) -> float:
        """Return the seconds of the next pause, at most ``interval``. ``is_listening``: any enqueue will end it."""
        pause = self._seconds
        self._seconds = min(2 * pause, 60.0)
        if now < self._short_until:
            return min(pause, self._short_until - now, interval)
        return interval if is_listening else min(pause, interval)
