"""A thread that does not die silently."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from ..system.forked_copies import end_copy_since, fork_count

logger = logging.getLogger("django_jobs.worker")


class WatchedThread(threading.Thread):
    """Calls ``work``. An error that ends it is logged and reported to ``on_death`` with the thread's ``role``.

    It does not keep the process from ending.
    """

    def __init__(self, work: Callable[[], object], *, role: str, on_death: Callable[[str], None]) -> None:
        super().__init__(name=f"jobs-{role.replace(' ', '-')}", daemon=True)
        self._work = work
        self._role = role
        self._on_death = on_death

    def run(self) -> None:
        """Do the work."""
        forks = fork_count()
        try:
            self._work()
            end_copy_since(forks)
        except BaseException:
            end_copy_since(forks)
            logger.critical("the %s of this worker died; the worker stops", self._role, exc_info=True)
            self._on_death(self._role)
