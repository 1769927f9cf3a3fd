"""Notify idle workers of new jobs, at most once a lane in a short window from one process.

A notified worker polls fast for longer than the window, so it finds a job that is committed within the window without
a notification. PostgreSQL locks the whole database while it commits a transaction that notifies; hence the window, and
hence a caller's transaction never notifies itself: that follows its commit.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import partial

from django.db.backends.base.base import BaseDatabaseWrapper

from ..conf import get_settings
from ..policy.notifications import CHANNEL, SCHEDULERS_CHANNEL, write_payload
from . import redis_channels
from .dialects import Dialect, open_dialect
from .transactions import after_commit

DEBOUNCE_SECONDS = 0.02
FAST_POLL_SECONDS = 5 * DEBOUNCE_SECONDS
"""How long a notified worker polls at short intervals."""

_last_notified: dict[tuple[str, str, int | None], float] = {}


def notify_on_commit(queue_names: Iterable[str], *, using: str, priority: int | None = None) -> None:
    """Notify for each queue after the caller's transaction has committed, at once if there is none.

    ``priority``: that of jobs which are ready; None if it is unknown, or they may not be ready.
    """
    for queue_name in queue_names:
        after_commit(partial(notify_workers, queue_name, priority=priority, using=using), using=using)


def notify_workers(queue_name: str, *, priority: int | None = None, using: str | None = None) -> bool:
    """Wake workers that serve ``queue_name``; False if the last notification was just before, or none is possible.

    One statement with a commit of its own on PostgreSQL, one message to the setting's NOTIFIER, else nothing. Call it
    after the commit.
    """
    dialect, connection = open_dialect(using)
    if not is_notification_due(dialect, connection, queue_name, priority):
        return False
    now = time.monotonic()
    url = get_settings().notifier
    if url is None:
        dialect.notify(connection, queue_name, priority)
    else:
        channel = redis_channels.channel_of(connection, CHANNEL)
        redis_channels.publish(url, channel, write_payload(queue_name, priority))
    record_notification(connection, queue_name, priority, now)
    return True


def is_notification_due(
    dialect: Dialect, connection: BaseDatabaseWrapper, queue_name: str, priority: int | None, *, within: float = 0.0
) -> bool:
    """Tell whether workers are to be notified of a job that is committed so many seconds from now."""
    if not _can_notify(dialect):
        return False
    last = _last_notified.get((connection.alias, queue_name, priority))
    return last is None or time.monotonic() + within - last >= DEBOUNCE_SECONDS


def notifies_by_statement(dialect: Dialect) -> bool:
    """Tell whether the statement that inserts a job may wake workers as well, by the same commit."""
    return dialect.supports_notify and get_settings().notifier is None


def record_notification(connection: BaseDatabaseWrapper, queue_name: str, priority: int | None, moment: float) -> None:
    """Note a notification that was sent; ``moment``, by the host's monotonic clock, is not after it."""
    if len(_last_notified) > 1_000:
        _last_notified.clear()
    _last_notified[connection.alias, queue_name, priority] = moment


def notify_schedulers_on_commit(*, using: str) -> None:
    """Let schedulers read the schedules again after the caller's transaction has committed."""
    after_commit(partial(_notify_schedulers, using), using=using)


def _notify_schedulers(using: str) -> None:
    dialect, connection = open_dialect(using)
    if not _can_notify(dialect):
        return
    url = get_settings().notifier
    if url is None:
        dialect.notify_schedulers(connection)
    else:
        redis_channels.publish(url, redis_channels.channel_of(connection, SCHEDULERS_CHANNEL), "")


def _can_notify(dialect: Dialect) -> bool:
    settings = get_settings()
    by_redis = settings.notifier is not None and not dialect.hears_commits
    return settings.worker.notify and (by_redis or dialect.supports_notify)
