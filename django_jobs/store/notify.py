"""Notify idle workers of new jobs, at most once a queue in a short window from one process.

A notified worker polls fast for longer than the window, so it finds a job that is enqueued within the window without
a notification.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import partial

from ..conf import get_settings
from .dialects import open_dialect
from .transactions import after_commit

DEBOUNCE_SECONDS = 0.02
FAST_POLL_SECONDS = 5 * DEBOUNCE_SECONDS
"""How long a notified worker polls at short intervals."""

_last_notified: dict[tuple[str, str], float] = {}


def notify_on_commit(queue_names: Iterable[str], *, using: str) -> None:
    """Notify for each queue after the caller's transaction has committed, at once if there is none."""
    for queue_name in queue_names:
        after_commit(partial(notify_workers, queue_name, using=using), using=using)


def notify_workers(queue_name: str, *, using: str | None = None) -> bool:
    """Wake workers that serve ``queue_name``; False if the last notification was just before, or none is possible.

    One statement with a commit of its own on PostgreSQL, none elsewhere. Call it after the commit.
    """
    if not get_settings().worker.notify:
        return False
    dialect, connection = open_dialect(using)
    if not dialect.supports_notify:
        return False
    key = (connection.alias, queue_name)
    now = time.monotonic()
    if now - _last_notified.get(key, -DEBOUNCE_SECONDS) < DEBOUNCE_SECONDS:
        return False
    if len(_last_notified) > 1_000:
        _last_notified.clear()
    _last_notified[key] = now
    dialect.notify(connection, queue_name)
    return True


def notify_schedulers_on_commit(*, using: str) -> None:
    """Let schedulers read the schedules again after the caller's transaction has committed."""
    after_commit(partial(_notify_schedulers, using), using=using)


def _notify_schedulers(using: str) -> None:
    if get_settings().worker.notify:
        dialect, connection = open_dialect(using)
        dialect.notify_schedulers(connection)
