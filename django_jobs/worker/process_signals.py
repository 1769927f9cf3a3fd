"""Send ``worker_started`` and ``worker_stopping`` in a process that runs jobs.

A fresh interpreter imports this module before Django is set up.
"""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING

from .options import WorkerOptions

if TYPE_CHECKING:
    from django.dispatch import Signal

logger = logging.getLogger("django_jobs.worker")

WORKER, JOB_PROCESS = "worker", "job process"
"""The kinds of processes."""
STOPPING_SECONDS = 2.0
"""How long a process that ends waits for the receivers of ``worker_stopping``, all together."""


def send_worker_started(kind: str, options: WorkerOptions) -> None:
    """Send ``worker_started`` and wait for its receivers."""
    from .. import signals

    if signals.worker_started.receivers:
        _send(signals.worker_started, kind, options)


def send_worker_stopping(kind: str, options: WorkerOptions) -> None:
    """Send ``worker_stopping``, in a thread that is left behind if its receivers take too long."""
    from .. import signals

    if not signals.worker_stopping.receivers:
        return
    thread = threading.Thread(
        target=_send, args=(signals.worker_stopping, kind, options), name="jobs-worker-stopping", daemon=True
    )
    thread.start()
    thread.join(STOPPING_SECONDS)
    if thread.is_alive():
        logger.warning(
            "%s %s ends: the receivers of worker_stopping have not returned within %.0f s",
            kind,
            os.getpid(),
            STOPPING_SECONDS,
        )


def _send(signal: Signal, kind: str, options: WorkerOptions) -> None:
    """Call the receivers. What they raise is logged here: no default handler takes what ``django.dispatch`` logs."""
    from django.db import connections

    from ..models import Worker

    pid = os.getpid()
    try:
        for receiver, answer in signal.send_robust(sender=Worker, kind=kind, pid=pid, queues=options.queues):
            if isinstance(answer, Exception):
                logger.error("%s %s: the receiver %r failed", kind, pid, receiver, exc_info=answer)
    except BaseException:  # SystemExit, which send_robust lets through, ends neither the process nor its end
        logger.exception("%s %s: a receiver failed, and those behind it are not called", kind, pid)
    finally:
        connections.close_all()
