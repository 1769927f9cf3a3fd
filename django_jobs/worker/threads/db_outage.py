"""One outage of the database for all loops of a process: logged once at its begin and once at its end."""

from __future__ import annotations

import logging
import threading
import time
from typing import Protocol

from ...store.readiness import explain, is_unmigrated_error, reason_of

logger = logging.getLogger("django_jobs.worker")


class Outage(Protocol):
    """Receives what fails in a ``Loop``. Once ``number`` has grown, the loop takes a new connection."""

    number: int

    def begins(self, loop: str, error: Exception) -> None:
        """Record a failed step."""

    def ends(self, loop: str, *, recovered: bool = True) -> None:
        """Record a step that did not fail, or the end of a loop that may not have recovered."""


class DatabaseOutage:
    """Shared by the loops of a worker. Begins with the first loop that fails, ends with the last that recovers.

    ``number`` counts outages: a connection older than the latest one must not be reused. ``name``: of the database in
    what is logged.
    """

    def __init__(self, name: str = "the database") -> None:
        self._name = name
        self.number = 0
        self._lock = threading.Lock()
        self._affected_loops: set[str] = set()
        self._began_at = 0.0
        self._is_unmigrated = False

    def reconnect(self) -> None:
        """Have each loop take a new connection before its next step, though the database answers."""
        with self._lock:
            self.number += 1

    def begins(self, loop: str, error: Exception) -> None:
        """Record that a step of a loop failed. Logged for the first one, and once if tables are missing."""
        text, is_unmigrated = reason_of(error), is_unmigrated_error(error)
        with self._lock:
            is_first, is_repeated = not self._affected_loops, loop in self._affected_loops
            self._affected_loops.add(loop)
            if is_first:
                self.number += 1
                self._began_at = time.monotonic()
                self._is_unmigrated = False
            if is_unmigrated and not self._is_unmigrated:
                self._is_unmigrated = True
                logger.warning("%s; retrying until that is done; finished runs are kept", explain(error))
            elif is_first:
                logger.warning(
                    "%s failed the %s; retrying until it answers; finished runs are kept: %s",
                    self._name,
                    loop,
                    text,
                )
            elif not is_repeated:
                logger.debug("%s failed the %s, too: %s", self._name, loop, text)

    def ends(self, loop: str, *, recovered: bool = True) -> None:
        """Record that a loop has recovered, or has ended. A worker that stops meanwhile does not see the end."""
        with self._lock:
            if loop not in self._affected_loops:
                return
            self._affected_loops.remove(loop)
            if not recovered:
                return
            logger.debug("%s answers the %s again", self._name, loop)
            if not self._affected_loops:
                what = "is migrated" if self._is_unmigrated else "answers again"
                logger.info("%s %s, after %.1f s", self._name, what, time.monotonic() - self._began_at)
