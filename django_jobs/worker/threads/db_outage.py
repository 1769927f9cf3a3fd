"""One outage of the database for all loops of a process: logged once at its begin and once at its end."""

from __future__ import annotations

import logging
import threading
import time

logger = logging.getLogger("django_jobs.worker")


class DatabaseOutage:
    """Shared by the loops of a worker. Begins with the first loop that fails, ends with the last that recovers.

    ``number`` counts outages: a connection older than the latest one must not be reused.
    """

    def __init__(self) -> None:
        self.number = 0
        self._lock = threading.Lock()
        self._affected_loops: set[str] = set()
        self._began_at = 0.0

    def reconnect(self) -> None:
        """Have each loop take a new connection before its next step, though the database answers."""
        with self._lock:
            self.number += 1

    def begins(self, loop: str, error: Exception) -> None:
        """Record that a loop cannot reach the database."""
        text = str(error).strip() or type(error).__name__
        with self._lock:
            is_first = not self._affected_loops
            self._affected_loops.add(loop)
            if is_first:
                self.number += 1
                self._began_at = time.monotonic()
                logger.warning(
                    "the database failed the %s; retrying until it answers; finished runs are kept: %s",
                    loop,
                    text,
                )
            else:
                logger.debug("the database failed the %s, too: %s", loop, text)

    def ends(self, loop: str) -> None:
        """Record that a loop has recovered, or has ended."""
        with self._lock:
            if loop not in self._affected_loops:
                return
            self._affected_loops.remove(loop)
            logger.debug("the database answers the %s again", loop)
            if not self._affected_loops:
                logger.info("the database answers again, after %.1f s", time.monotonic() - self._began_at)
