"""Wake an idle worker: by LISTEN on PostgreSQL, the writes to SQLite's file, a Redis, else by its poll alone."""

from __future__ import annotations

import logging

from django.db import connections

from ...execution.runtime import WorkerContext
from .base import Notifier, PollingOnly
from .postgresql import PostgresNotifier
from .redis import RedisNotifier
from .sqlite import SqliteNotifier

__all__ = ["Notifier", "PollingOnly", "create_notifier"]

logger = logging.getLogger("django_jobs.worker")


def create_notifier(context: WorkerContext) -> Notifier:
    """Return the notifier of the settings, else of the jobs' database; PollingOnly if there is none or they are off.

    A worker that only fires schedules hears of nothing else: on SQLite, whose files tell of any write, of nothing.
    """
    vendor = connections[context.using].vendor
    if vendor == "sqlite":
        return SqliteNotifier(context) if context.options.works else PollingOnly()
    settings = context.settings
    if settings.notifier is not None and settings.worker.notify:
        return RedisNotifier(context, settings.notifier)
    if vendor == "postgresql" and settings.worker.notify:
        try:
            import psycopg  # noqa: F401 - its connections tell of notifications
        except ImportError:
            logger.info("psycopg 3 is not installed: idle workers poll instead of LISTEN")
        else:
            return PostgresNotifier(context)
    return PollingOnly()
