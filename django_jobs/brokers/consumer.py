"""Read one source, batch after batch: the step that a thread of ``jobs consume`` repeats.

::

    sync (every 2 s)   heartbeat, counts; is the source paused or stopped?
    has room?          no more than max_waiting jobs of this function wait
    read               readers.py: up to 500 messages, or what 50 ms bring
                       intake.py: jobs and place in one transaction; then the acknowledgement
"""

from __future__ import annotations

import logging
import os
import socket
import time
from contextlib import suppress
from uuid import uuid4

from django.db import Error as DatabaseError

from ..policy.outage_pauses import pause_until_test
from .connecting import find_settings, hiding_secrets, open_source
from .intake import PositionMovedError, Taken
from .interface import BrokerDownError
from .readers import Reader, reader_of
from .subscriptions import Consumption

logger = logging.getLogger("django_jobs.brokers")

SYNC_SECONDS = 2.0
IDLE_SECONDS = 1.0


class SourceConsumer:
    """``step`` reads and takes one batch; it is called by one thread, and ``close`` after that."""

    def __init__(self, consumption: Consumption, *, using: str | None = None) -> None:
        self.consumption = consumption
        self.label = consumption.label
        self._using = using
        self._settings = find_settings(consumption.subscription.broker)
        self._id = uuid4()
        self._reader: Reader | None = None
        self._source_id: int | None = None
        self._is_halted = False
        self._sync_at = 0.0
        self._room = 0
        self._received = self._duplicates = self._poison = 0
        self._down_since: float | None = None

    def step(self) -> float:
        """Read and take one batch; return the seconds until the next step. Database errors are the caller's."""
        try:
            with hiding_secrets(self._settings):
                return self._step()
        except BrokerDownError as error:
            return self._pause_after(error)
        except PositionMovedError as error:
            logger.info("%s", error)
            self._sync_at = 0.0
            return 0.0
        except DatabaseError:
            self._disconnect()  # what was received and not taken is delivered again
            raise

    def connect(self) -> Reader:
        """Connect to the broker, if not connected. Raises BrokerDownError or ConfigurationError."""
        if self._reader is None:
            source_id = self._ensure_source()
            source = open_source(self.consumption.subscription)
            self._reader = reader_of(self.consumption, source, source_id=source_id, owner=self._id, using=self._using)
            self._sync_at = 0.0
        return self._reader

    def close(self) -> None:
        """Let other consumers read on; a database that is away is no error: it finds out by the heartbeat."""
        from ..store.messages.positions import release_partitions
        from ..store.messages.sources import remove_consumer

        self._disconnect()
        if self._source_id is not None:
            with suppress(DatabaseError):
                self._save_counts()
                release_partitions(self._source_id, self._id, using=self._using)
                remove_consumer(self._id, using=self._using)

    def _step(self) -> float:
        if time.monotonic() >= self._sync_at:
            self._read_row()
        if self._is_halted or not self._has_room():
            return IDLE_SECONDS
        reader = self.connect()
        if time.monotonic() >= self._sync_at:
            reader.sync()
            self._sync_at = time.monotonic() + SYNC_SECONDS
        taken = reader.read()
        self._on_answer()
        if taken is not None:
            self._count(taken)
        return 0.0

    def _count(self, taken: Taken) -> None:
        self._received += len(taken.done)
        self._duplicates += taken.duplicates
        self._poison += taken.poison
        self._room -= taken.jobs
        for partition, reason in taken.stopped.items():
            where = f", partition {partition}," if partition else ""
            logger.error("%s%s is stopped by poison until staff resume it: %s", self.label, where, reason)
            self._sync_at = 0.0

    def _ensure_source(self) -> int:
        from ..store.messages.sources import ensure_source

        if self._source_id is None:
            subscription = self.consumption.subscription
            self._source_id = ensure_source(
                subscription.broker,
                subscription.name,
                subscription.group,
                job_name=self.consumption.definition.name,
                using=self._using,
            ).pk
        return self._source_id

    def _read_row(self) -> None:
        """Save that this consumer lives and what it counted, and read whether the source is paused or stopped."""
        from ..models import MessageConsumer
        from ..store.messages.sources import heartbeat, read_source

        row = read_source(self._ensure_source(), using=self._using)
        if row is None:
            self._source_id = None  # deleted by hand: it is inserted anew
            self._disconnect()
            return
        is_halted = row.paused_at is not None or bool(row.stopped_reason)
        if is_halted and not self._is_halted:
            logger.info("%s is %s", self.label, "paused" if row.paused_at else "stopped by poison")
            self._disconnect()
        elif self._is_halted and not is_halted:
            logger.info("%s is resumed", self.label)
        self._is_halted = is_halted
        consumer = MessageConsumer(id=self._id, source_id=row.pk, hostname=socket.gethostname(), pid=os.getpid())
        heartbeat(consumer, using=self._using)
        self._save_counts()

    def _save_counts(self) -> None:
        from ..store.messages.sources import add_counts

        if self._received and self._source_id is not None:
            counts = {"received": self._received, "duplicates": self._duplicates, "poison": self._poison}
            self._received = self._duplicates = self._poison = 0
            add_counts(self._source_id, **counts, using=self._using)

    def _has_room(self) -> bool:
        """Tell whether more jobs of this function may wait; counted anew when the last count is used up."""
        from ..store.messages.sources import count_waiting

        if self._room <= 0:
            maximum = self.consumption.source.max_waiting
            self._room = maximum - count_waiting(self.consumption.definition.name, limit=maximum, using=self._using)
        return self._room > 0

    def _disconnect(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def _pause_after(self, error: BrokerDownError) -> float:
        self._disconnect()
        now = time.monotonic()
        if self._down_since is None:
            self._down_since = now
        pause, reason = pause_until_test(now - self._down_since), str(error)
        logger.warning("%s: the broker does not answer; trying again in %.0f s: %s", self.label, pause, reason)
        self._save_error(reason)
        return pause

    def _on_answer(self) -> None:
        if self._down_since is not None:
            self._down_since = None
            logger.warning("%s: the broker answers again", self.label)
            self._save_error("")

    def _save_error(self, text: str) -> None:
        from ..store.messages.sources import record_error

        if self._source_id is not None:
            record_error(self._source_id, text, using=self._using)
