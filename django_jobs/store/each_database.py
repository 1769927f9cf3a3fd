"""Read from several databases at once, for one page that none of them may hold up."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Generic, TypeVar

from django.db import Error, connections

from ..conf.database import use_database

logger = logging.getLogger("django_jobs.store")

R = TypeVar("R")

WAIT_SECONDS = 2.0
"""How long a page waits for all of them together."""
RETRY_SECONDS = 30.0
MAX_UNANSWERED = 10
"""A database that lets a question wait is asked again at that interval, by so many threads of this process at most."""

_lock = threading.Lock()
_asked_at: dict[str, list[float]] = defaultdict(list)
"""When the questions that wait were asked, by alias."""
_failing: set[str] = set()
"""Databases whose last answer was an error: that is logged once."""


def read_each(read: Callable[[], R], aliases: Iterable[str], *, wait_seconds: float = WAIT_SECONDS) -> dict[str, R]:
    """Return the answer of each database to ``read()``; one that fails, or is late, is left out.

    Each is asked in a thread of its own, by a connection of its own: a server that is frozen holds that thread alone.
    """
    readings = [reading for alias in aliases if (reading := _start(read, alias)) is not None]
    until = monotonic() + wait_seconds
    for reading in readings:
        reading.ended.wait(max(until - monotonic(), 0))
    return {reading.alias: reading.answers[0] for reading in readings if reading.answers}


def _start(read: Callable[[], R], alias: str) -> _Reading[R] | None:
    now = monotonic()
    with _lock:
        if _is_silent(_asked_at[alias], now):
            return None
        _asked_at[alias].append(now)
    reading = _Reading(read, alias, asked_at=now)
    threading.Thread(target=reading.run, name=f"django_jobs reads {alias}", daemon=True).start()
    return reading


def _is_silent(asked_at: list[float], now: float) -> bool:
    """Tell whether earlier questions wait for so long that one more would do no better."""
    if not asked_at or now - asked_at[0] < WAIT_SECONDS:
        return False
    return now - asked_at[-1] < RETRY_SECONDS or len(asked_at) >= MAX_UNANSWERED


class _Reading(Generic[R]):
    """One question to one database. ``answers`` has one item after an answer."""

    def __init__(self, read: Callable[[], R], alias: str, *, asked_at: float) -> None:
        self.alias, self._asked_at = alias, asked_at
        self.answers: list[R] = []
        self.ended = threading.Event()
        self._read = read

    def run(self) -> None:
        """Ask, in the thread at hand."""
        try:
            with use_database(self.alias):
                self.answers.append(self._read())
            _failing.discard(self.alias)
        except Error as error:
            if self.alias not in _failing:
                logger.warning("pages leave database %r out until it answers: %s", self.alias, error)
            _failing.add(self.alias)
        finally:
            self.ended.set()
            connections[self.alias].close()
            with _lock:
                _asked_at[self.alias].remove(self._asked_at)
