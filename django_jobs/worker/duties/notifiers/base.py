"""Contract of a notifier, the pause of a loop that ends when jobs were enqueued; and the one that only polls.

A notifier has no thread of its own. ``listen`` begins each step of the loop, ``wait`` comes between two steps, in one
thread. Nothing is missed between a look at the queues and the pause.

A notifier only saves time: the claimer's poll finds whatever it misses.
"""

from __future__ import annotations

import threading
from typing import Protocol

from ....policy.notifications import read_payload
from ....store.notify import FAST_POLL_SECONDS
from ...execution.events import WorkerEvents
from ...execution.runtime import WorkerContext
from ...threads.wake import Wake


class Notifier(Wake, Protocol):
    """The pause of a loop that ends when jobs were enqueued, which it reports to the worker's events."""

    @property
    def is_listening(self) -> bool:
        """True while every enqueue will be noticed."""

    @property
    def is_listening_for_schedules(self) -> bool:
        """True while every change of a schedule will be noticed."""

    def listen(self) -> None:
        """Begin a step; raises a database error if notifications are out of order."""

    def close(self) -> None:
        """Release what the pause needs, once the loop has ended."""


class PollingOnly(threading.Event):
    """No notifications: workers poll."""

    is_listening = False
    is_listening_for_schedules = False

    def listen(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


def queue_filter(context: WorkerContext) -> frozenset[str] | None:
    """Return the queues whose jobs a worker takes; None: all."""
    queues = context.options.queues
    return None if queues is None else frozenset(queues)


def report_work(events: WorkerEvents, queues: frozenset[str] | None, payload: str) -> None:
    """Report the new jobs that a notification tells of, if they are in these queues."""
    queue_name, priority = read_payload(payload)
    if queues is None or queue_name in queues:
        events.work_enqueued(FAST_POLL_SECONDS, queue_name, priority)
    elif payload in queues:  # a name such as "5 stars"
        events.work_enqueued(FAST_POLL_SECONDS, payload)
