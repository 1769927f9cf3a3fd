"""Wake an idle worker by LISTEN, on the connection on which the loop executes its statements.

What is notified while a statement is executed is received with its answer.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from django.db import connections

from ....policy.notifications import CHANNEL, SCHEDULERS_CHANNEL
from ....store.dialects.postgresql.channels import listen, receive_buffered, receive_unread
from ....store.notify import FAST_POLL_SECONDS
from ...execution.runtime import WorkerContext
from ...threads.wake import SocketWake
from .base import queue_filter, report_work

logger = logging.getLogger("django_jobs.worker")


class PostgresNotifier(SocketWake):
    """PostgreSQL's LISTEN, on the connection on which the loop executes its statements."""

    def __init__(self, context: WorkerContext) -> None:
        super().__init__()
        self.is_listening = self.is_listening_for_schedules = False
        self._events = context.events
        self._using = context.using
        self._queues = queue_filter(context)
        self._channels = (CHANNEL, SCHEDULERS_CHANNEL) if context.options.works else (SCHEDULERS_CHANNEL,)
        self._driver: Any = None

    def listen(self) -> None:
        """Listen, if the connection is a new one, or the pause has noticed its end."""
        driver = connections[self._using].connection
        if driver is None or driver is not self._driver or not self.is_listening:
            self._listen()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until a notification was reported, until set, or for ``timeout`` seconds.

        Return at once if the connection has ended: the next step fails, and opens another.
        """
        ends_at = time.monotonic() + (timeout or 0)
        try:
            if self.is_listening:
                self._receive_until(ends_at)
                return True
        except Exception as error:  # noqa: BLE001 - of the driver; the statement of the next step will tell
            logger.debug("LISTEN ended: %s", error)
            self.is_listening = self.is_listening_for_schedules = False
            return True
        self.wait_for(None, ends_at - time.monotonic())
        return True

    def _receive_until(self, ends_at: float) -> None:
        receive_buffered(self._driver)
        while not self.is_set and (left := ends_at - time.monotonic()) > 0:
            if self.wait_for(self._driver.fileno(), left):
                receive_unread(self._driver)

    def _listen(self) -> None:
        self.is_listening = self.is_listening_for_schedules = False
        connection = connections[self._using]
        connection.ensure_connection()
        with connection.wrap_database_errors:
            listen(connection.connection, self._receive, channels=self._channels)
        self._driver = connection.connection
        self.is_listening = self.is_listening_for_schedules = True
        # Something may have happened before.
        self._events.work_enqueued(FAST_POLL_SECONDS)
        self._events.schedules_changed()

    def _receive(self, channel: str, payload: str) -> None:
        if channel == SCHEDULERS_CHANNEL:
            self._events.schedules_changed()
        else:
            report_work(self._events, self._queues, payload)
