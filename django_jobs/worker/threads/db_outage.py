"""One outage of the database, however many loops of a process meet it: said once, and once when it is over."""

from __future__ import annotations

import logging
import threading
import time

logger = logging.getLogger("django_jobs.worker")


class DatabaseOutage:
    """Shared by the loops of a worker. It begins with the first that fails and ends with the last that goes on.

    ``number`` counts them: a connection that is older than the newest outage is not to be trusted.
    """

    def __init__(self) -> None:
        self.number = 0
        self._lock = threading.Lock()
        self._affected_loops: set[str] = set()
        self._began_at = 0.0

    def begins(self, loop: str, error: Exception) -> None:
        """Take note that a loop cannot reach the database."""
        text = str(error).strip() or type(error).__name__
        with self._lock:
            is_first = not self._affected_loops
            self._affected_loops.add(loop)
            if is_first:
                self.number += 1
                self._began_at = time.monotonic()
                logger.warning(
                    "the database failed the %s; trying again until it answers; what has ended is kept: %s",
                    loop,
                    text,
                )
            else:
                logger.debug("the database failed the %s, too: %s", loop, text)

    def ends(self, loop: str) -> None:
        """Take note that a loop goes on, or is no more."""
        with self._lock:
            if loop not in self._affected_loops:
                return
            self._affected_loops.remove(loop)
            logger.debug("the database answers the %s again", loop)
            if not self._affected_loops:
                logger.info("the database answers again, after %.1f s", time.monotonic() - self._began_at)
