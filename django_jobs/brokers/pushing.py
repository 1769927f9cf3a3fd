"""Take in a message that its broker pushes to this project: as ``consumer.py`` does, one message a request."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from weakref import WeakKeyDictionary

from django.db import Error as DatabaseError

from ..conf.brokers import BrokerSettings
from ..exceptions import JobsError
from .intake import Taken, take_from_queue
from .interface import ReceivedMessage
from .subscriptions import Consumption, consumptions

logger = logging.getLogger("django_jobs.brokers")

COUNT_SECONDS = 1.0
"""How often, at most, a process counts the waiting jobs of a function that has too many."""


class NotNowError(JobsError):
    """The message is not taken for now; its broker is to send it again."""


class _Room:
    """How many more jobs of a function may wait, as this process knows."""

    def __init__(self) -> None:
        self._left = 0
        self._counted_at = float("-inf")

    def check(self, consumption: Consumption, using: str | None) -> None:
        """Raise NotNowError if too many jobs wait; counted anew when the last count is used up."""
        from ..store.messages.sources import count_waiting

        maximum, name = consumption.source.max_waiting, consumption.definition.name
        if self._left <= 0 and time.monotonic() - self._counted_at >= COUNT_SECONDS:
            self._left = maximum - count_waiting(name, limit=maximum, using=using)
            self._counted_at = time.monotonic()
        if self._left <= 0:
            raise NotNowError(f"as many jobs {name!r} wait as max_waiting allows, {maximum}")

    def use(self, jobs: int) -> None:
        self._left -= jobs


_rooms: WeakKeyDictionary[BrokerSettings, dict[str, _Room]] = WeakKeyDictionary()


def find_pushed(settings: BrokerSettings, name: str) -> Consumption | None:
    """Return what consumes the source of this name, or None."""
    return next((one for one in consumptions(settings.name) if one.subscription.name == name), None)


def take_pushed(
    settings: BrokerSettings, consumption: Consumption, message: ReceivedMessage, *, using: str | None = None
) -> None:
    """Commit the job of a message; a duplicate makes none, and poison is kept as a dead letter.

    Raises NotNowError: the source is paused or stopped, the message is poison that stops it, or too many jobs wait.
    """
    from ..store.messages.sources import ensure_source

    subscription = consumption.subscription
    row = ensure_source(
        subscription.broker,
        subscription.name,
        subscription.group,
        job_name=consumption.definition.name,
        using=using,
    )
    if row.paused_at is not None or row.stopped_reason:
        raise NotNowError("the source is paused" if row.paused_at else "the source is stopped by poison")
    room = _rooms.setdefault(settings, {}).setdefault(subscription.label, _Room())
    room.check(consumption, using)
    taken = take_from_queue(consumption, row.pk, [message], using=using)
    room.use(taken.jobs)
    for reason in taken.stopped.values():
        logger.error("%s is stopped by poison until staff resume it: %s", consumption.label, reason)
        raise NotNowError(f"the message is poison: {reason}")
    _count(row.pk, taken, using)


def _count(source_id: int, taken: Taken, using: str | None) -> None:
    """Add to the counts of the source. The message is committed: a database that goes away now is no reason to fail."""
    from ..store.messages.sources import add_counts

    with suppress(DatabaseError):
        counts = {"received": len(taken.done), "duplicates": taken.duplicates, "poison": taken.poison}
        add_counts(source_id, **counts, using=using)
