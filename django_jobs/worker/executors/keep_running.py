"""Run an event loop until its work is over, whatever its tasks do to it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

logger = logging.getLogger("django_jobs.worker")


def keep_running(loop: asyncio.AbstractEventLoop, is_over: Callable[[], bool]) -> None:
    """Run ``loop`` until it stops and ``is_over``.

    A task that a job has created and that raises SystemExit or KeyboardInterrupt makes asyncio leave the loop (``Task``
    passes them on), and any job may call ``loop.stop()``. The other jobs of the loop go on, and so does the job that
    awaits that task: the exception is raised there.
    """
    while not is_over():
        try:
            loop.run_forever()
        except (SystemExit, KeyboardInterrupt) as error:
            logger.warning("a task of a job raised %s; the event loop goes on", type(error).__name__)
