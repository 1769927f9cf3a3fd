"""The lease on a worker's claims: a row with a heartbeat, renewed by this process, watched by all others."""

from __future__ import annotations

import logging
import os
import socket
import time
from datetime import timedelta

from ... import __version__
from ...conf import project_names
from ...conf.release import current_release
from ...models import Worker
from ...store.deploys import record_deploy
from ...store.dialects import open_dialect
from ...store.workers import (
    HeartbeatStatus,
    is_kill_requested,
    is_stop_requested,
    record_heartbeat,
    register_worker,
    set_worker_state,
)
from ..execution.runtime import WorkerContext
from ..system.exit_codes import EXIT_RECYCLE, EXIT_STOP_REQUESTED
from ..system.memory import resident_bytes
from .activity import ActivityReport

logger = logging.getLogger("django_jobs.worker")


class Heartbeat:
    """The worker's row. ``step`` is one heartbeat and returns the seconds until the next.

    A worker that was declared lost (it was frozen, or cut off) goes on under a new row. By then its old claims
    are rescued, and their finishes will be refused.
    """

    def __init__(self, context: WorkerContext, activity: ActivityReport) -> None:
        self._context = context
        self._activity = activity
        self._file = self._read_file()
        self._is_file_missing = False
        self._unrecorded_release = ""
        self._has_warned = False

    def register(self) -> None:
        """Insert a row for this process and take its id."""
        options, release = self._context.options, current_release()
        self._context.worker_id = register_worker(
            hostname=socket.gethostname(),
            pid=os.getpid(),
            queues=options.queues,
            concurrency=options.concurrency if options.works else 0,
            version=__version__,
            release=release,
            using=self._context.using,
        )
        self._unrecorded_release = release
        self._record_deploy()
        self._context.events.registered(self._context.worker_id)

    def _record_deploy(self) -> None:
        """Record the release, if there is one; an error holds nothing up, and the next heartbeat tries again."""
        if not self._unrecorded_release:
            return
        try:
            record_deploy(
                self._unrecorded_release,
                projects=project_names(),
                running_for=timedelta(seconds=time.monotonic() - self._context.options.started),
                stale_after=self._context.settings.worker.stale_after,
                using=self._context.using,
            )
        except Exception:
            level = logging.DEBUG if self._has_warned else logging.WARNING
            logger.log(level, "the release could not be recorded as a deploy; trying again", exc_info=True)
            self._has_warned = True
        else:
            self._unrecorded_release = ""

    def is_file_replaced(self) -> bool:
        """Tell whether another file is at the path of the (SQLite) database than when this worker started.

        Not while there is none: a connection would make an empty one.
        """
        found = self._read_file()
        if found is None and self._file is not None and not self._is_file_missing:
            logger.warning("the database's file is gone from its path; this worker goes on with the deleted one")
        self._is_file_missing = found is None
        self._file = self._file or found
        return found not in (None, self._file)

    def _read_file(self) -> tuple[int, int] | None:
        dialect, connection = open_dialect(self._context.using)
        return dialect.file_identity(connection)

    def step(self) -> float:
        """Renew the heartbeat, or go on as a new worker if this one was declared lost."""
        context, memory, began = self._context, resident_bytes(), time.monotonic()
        status = record_heartbeat(
            context.worker_id, memory_bytes=memory, activity=self._activity.read(), using=context.using
        )
        is_stopped, is_killed = status is HeartbeatStatus.STOP_REQUESTED, status is HeartbeatStatus.KILL_REQUESTED
        if status is HeartbeatStatus.LOST:
            lost_id = context.worker_id
            is_stopped = is_stop_requested(lost_id, using=context.using)
            is_killed = is_kill_requested(lost_id, using=context.using)
            self.register()
            logger.error(
                "worker %s was declared lost: no heartbeat arrived in time. Its claims were released to others;"
                " it goes on as worker %s",
                lost_id,
                context.worker_id,
            )
        context.counts_as_lost_at = began + context.settings.worker.stale_after.total_seconds()
        if is_killed:
            context.events.kill("staff requested an end at once")
        elif is_stopped:
            context.events.stop("staff requested a stop", EXIT_STOP_REQUESTED)
        max_bytes = context.options.max_memory_bytes
        if max_bytes is not None and memory > max_bytes:
            context.events.stop(f"{memory >> 20} MB of memory", EXIT_RECYCLE)
        self._record_deploy()
        return context.settings.worker.heartbeat_interval.total_seconds()

    def save_state(self, state: Worker.State) -> bool:
        """Save that this worker is stopping, or has stopped; tell whether staff requested that before."""
        set_worker_state(self._context.worker_id, state, pid=os.getpid(), using=self._context.using)
        return is_stop_requested(self._context.worker_id, using=self._context.using)
