"""Which batch gathers what is enqueued here and now: a context variable of the thread or task."""

from __future__ import annotations

import time
from contextvars import ContextVar, Token

TOUCH_SECONDS = 60.0
"""How often the builder of a batch says that it is alive, while it enqueues."""


class Gathering:
    """A batch that is filled here. ``is_builder``: whoever fills it has to close it, and gives signs of life."""

    __slots__ = ("_touched_at", "batch_id", "is_builder")

    def __init__(self, batch_id: int, *, is_builder: bool) -> None:
        self.batch_id = batch_id
        self.is_builder = is_builder
        self._touched_at = time.monotonic()

    def is_touch_due(self) -> bool:
        """Tell whether a sign of life is due, and take it for given."""
        now = time.monotonic()
        if not self.is_builder or now - self._touched_at < TOUCH_SECONDS:
            return False
        self._touched_at = now
        return True


_current: ContextVar[Gathering | None] = ContextVar("django_jobs_gathering", default=None)


def current_gathering() -> Gathering | None:
    """Return the batch that gathers here, or None."""
    return _current.get()


def begin_gathering(gathering: Gathering) -> Token[Gathering | None]:
    """Have what is enqueued here from now on go into the batch; ``end_gathering`` takes what this returns."""
    return _current.set(gathering)


def end_gathering(token: Token[Gathering | None]) -> None:
    """Have what is enqueued here go where it went before."""
    _current.reset(token)
