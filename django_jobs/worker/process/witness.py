"""Renew the heartbeat of a worker process that lives and cannot do it itself.

C code that holds the interpreter, such as a long match of a regular expression, keeps all threads of its process from
running, the heartbeat's too. Other workers would take the process for dead and run its jobs again. The supervisor
sees that it lives. It does not speak for a process that was frozen, nor for one that neither runs Python code nor uses
the processor for long: it hangs.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta

from django.db import Error as DatabaseError
from django.db import connections

from ...conf import get_settings
from ...policy.heartbeats import spare_time
from ...store.readiness import reason_of
from ...store.workers import HeartbeatStatus, renew_heartbeat
from .process_state import read_process_state
from .worker_child import SILENT_SECONDS, WorkerChild

logger = logging.getLogger("django_jobs.worker")

HUNG_AFTER = timedelta(seconds=60)
"""A silent process that has used no processor time for so long, or for four times WORKER["STALE_AFTER"], hangs."""
HUNG_STALE_FACTOR = 4


@dataclass(slots=True)
class _Silence:
    """A time without a heartbeat of the process itself. ``ticks``: processor time at ``busy_at``, when it last grew."""

    ticks: int
    busy_at: float
    is_reported: bool = False
    is_reported_hung: bool = False


class Witness:
    """Watches the ``children`` in a thread of its own, with a connection to ``alias`` while one is silent."""

    def __init__(self, children: Callable[[], Iterable[WorkerChild]], alias: str) -> None:
        self._children = children
        self._alias = alias
        self._stopped = threading.Event()
        self._silences: dict[WorkerChild, _Silence] = {}

    def start(self) -> None:
        """Start to watch."""
        threading.Thread(target=self._watch, name="jobs-witness", daemon=True).start()

    def close(self) -> None:
        """Watch no longer."""
        self._stopped.set()

    def _watch(self) -> None:
        settings = get_settings().worker
        interval = settings.heartbeat_interval.total_seconds()
        spare = spare_time(interval=settings.heartbeat_interval, stale_after=settings.stale_after).total_seconds()
        while not self._stopped.wait(spare):
            try:
                self._check(overdue_after=interval + spare)
            except (DatabaseError, OSError) as error:
                logger.warning("the heartbeat of a worker process could not be renewed for it: %s", reason_of(error))
            except Exception:
                logger.critical("the supervisor could not check whether its worker processes are silent", exc_info=True)

    def _check(self, *, overdue_after: float) -> None:
        try:
            children = list(self._children())
            self._silences = {child: silence for child, silence in self._silences.items() if child in children}
            for child in children:
                served = child.of(self._alias)
                age = served.liveness.read(child.process.pid).heartbeat_attempt_age
                if age is None or age < overdue_after or not served.worker_ids:
                    self._silences.pop(child, None)
                elif self._is_alive(child):
                    status = renew_heartbeat(served.worker_ids[-1], using=self._alias)
                    child.is_kill_requested |= status is HeartbeatStatus.KILL_REQUESTED
        finally:
            if not self._silences:
                connections.close_all()

    def _is_alive(self, child: WorkerChild) -> bool:
        """Tell whether a silent process works, as far as can be seen from outside."""
        state, now, pid = read_process_state(child.process.pid), time.monotonic(), child.process.pid
        if state is None or state.is_frozen:
            return False
        silence = self._silences.get(child)
        if silence is None:
            silence = self._silences[child] = _Silence(state.ticks, now)
        if not silence.is_reported and child.silent_seconds() >= SILENT_SECONDS:
            silence.is_reported = True
            logger.warning(
                "worker process %s runs no Python code; C code of a job holds the interpreter. Its heartbeat is renewed"
                " for it",
                pid,
            )
        if state.ticks != silence.ticks:
            silence.ticks, silence.busy_at = state.ticks, now
        patience = max(HUNG_AFTER, HUNG_STALE_FACTOR * get_settings().worker.stale_after)
        is_hung = now - silence.busy_at > patience.total_seconds()
        if is_hung and not silence.is_reported_hung:
            silence.is_reported_hung = True
            logger.error("worker process %s hangs: its heartbeat is not renewed for it any longer", pid)
        return not is_hung
