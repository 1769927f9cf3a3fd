"""Choose how worker processes are started: forked from a process that is set up, or spawned, which is a fresh one.

A fork starts in milliseconds and shares the memory of the supervisor. It takes Linux, and a supervisor without threads
at that moment: a fork copies only the thread that calls it, and a lock that another holds is never released there.
"""

from __future__ import annotations

import logging

from django.core.cache import close_caches
from django.db import connections

from ...conf import get_settings
from ..options import WorkerOptions
from ..system.fork_server import start_fork_server, why_not_fork

logger = logging.getLogger("django_jobs.worker")

FORK, SPAWN = "fork", "spawn"


def choose_start_method(options: WorkerOptions) -> None:
    """Start the fork server, unless processes are to be spawned; call it before the first thread of this process.

    With ``--reload`` they are always spawned: they are to have the code as it is on disk by then.
    """
    method = get_settings().worker.start_method
    if options.reload or method == SPAWN:
        return
    connections.close_all()
    close_caches()
    if not (reason := why_not_fork()):
        try:
            start_fork_server()
        except OSError as error:
            reason = str(error)
    if reason:
        logger.log(
            logging.INFO if method is None else logging.WARNING,
            "worker processes are spawned, not forked: %s",
            reason,
        )
