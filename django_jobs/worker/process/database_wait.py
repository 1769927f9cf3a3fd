"""Wait, before the first worker process is started, until the database answers and is migrated.

One sentence for the whole supervisor, not one for each process. What fails later is an outage of a worker process.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable

from ...store.readiness import check_readiness, explain
from ..threads.connections import set_network_timeouts
from ..threads.loop import Loop, LoopSpec
from .database_check import DatabaseCheck, DatabaseUnusableError, call_on_ready, start_database_check

logger = logging.getLogger("django_jobs.worker")

_NUMBERS = re.compile(r"\d+")


class DatabaseWait:
    """Checks in a thread of its own: an attempt to connect may take long, and a signal must not wait for it.

    If processes can be forked, the thread has the check done by one, which ends after it (``database_check``).
    ``name``: of the database in what is logged.
    ``is_over``: the workers can start. ``reason``: the sentence that says why not, empty before the first failure.
    ``on_change`` is called at the end, and ``on_death`` with the role of a thread that died of a bug. After the end
    ``on_ready`` is called, in that thread or process, and may use the database.
    """

    number = 0
    """As an outage of a ``Loop``: it keeps no connection over one."""

    def __init__(
        self,
        alias: str,
        *,
        name: str = "the database",
        on_change: Callable[[], None],
        on_death: Callable[[str], None],
        on_ready: Callable[[], None],
    ) -> None:
        self.is_over = False
        self.reason = ""
        self._on_change = on_change
        self._on_ready = on_ready
        self._logged: set[str] = set()
        self._using = alias
        self._name = name
        self._began_at = time.monotonic()
        self._is_stopped = False
        self._check: DatabaseCheck | None = None
        spec = LoopSpec("check of the database", self._step, durable=None)
        self._loop = Loop(spec, using=self._using, outage=self, on_death=on_death)

    def start(self) -> None:
        """Start to check."""
        set_network_timeouts(self._using)
        self._began_at = time.monotonic()
        self._loop.start()

    def stop(self) -> None:
        """Check no more. Does not wait for an attempt to connect."""
        self._is_stopped = True
        self._loop.stop()
        if (check := self._check) is not None:
            check.kill()

    def join(self, seconds: float) -> bool:
        """Wait for the end of the thread; tell whether it has ended."""
        return self._loop.join(seconds)

    def begins(self, loop: str, error: Exception) -> None:
        """Log why the workers do not start, each reason once: first no server, then no tables."""
        if self._is_stopped:
            return
        self.reason = str(error) if isinstance(error, DatabaseUnusableError) else explain(error, using=self._using)
        without_numbers = _NUMBERS.sub("", self.reason)
        if without_numbers not in self._logged:
            self._logged.add(without_numbers)
            where = "" if self._name == "the database" else f" for {self._name}"
            logger.warning("no worker is started yet%s: %s", where, self.reason)

    def ends(self, loop: str, *, recovered: bool = True) -> None:
        """Log that the workers start."""
        if recovered:
            seconds = time.monotonic() - self._began_at
            logger.info("%s can be used, after %.1f s; the workers start", self._name, seconds)

    def _step(self) -> float | None:
        if self.is_over:
            self._finish()
            return None
        self._check = check = start_database_check(self._on_ready, using=self._using)
        if self._is_stopped and check is not None:
            check.kill()  # ``stop`` came before there was a check to kill
        if check is None:
            check_readiness(using=self._using)
        else:
            self._wait_for(check)
        self.is_over, self.reason = True, ""
        self._on_change()
        return 0

    def _wait_for(self, check: DatabaseCheck) -> None:
        try:
            check.result()
        except BaseException:
            check.join()
            self._check = None
            raise

    def _finish(self) -> None:
        """Call ``on_ready``, or wait for the process that does so, which ``stop`` kills."""
        if self._check is None:
            call_on_ready(self._on_ready)
            return
        self._check.join()
        self._check = None
