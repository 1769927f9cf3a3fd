"""Read a batch of a queue or a log, have it taken, and only then acknowledge it.

A queue is shared by its broker. The partitions of a log are shared here, by rows in the database: each consumer owns
some for a few seconds at a time, and two that believe to own one are told apart by the guard of the position.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol
from uuid import UUID

from ..policy.message_batches import FIRST_MESSAGES, batch_seconds, next_limit
from ..policy.partitions import partition_share
from .intake import PositionMovedError, Taken, take_from_log, take_from_queue
from .interface import LogSource, QueueSource, ReceivedMessage, Source
from .subscriptions import Consumption, check_takeover

logger = logging.getLogger("django_jobs.brokers")

BATCH_SECONDS = 0.05
"""How long a batch that is not full waits for more."""
WAIT_SECONDS = 1.0
"""How long an empty source is waited for; a consumer stops as late as that."""
OWNED_SECONDS = 15.0
"""How long a partition, or a consumer without a heartbeat, is left to its owner, without ``takeover_after``."""
BROKER_SECONDS = 30.0
"""How often a broker is asked for new partitions, lag and backlog."""


class Reader(Protocol):
    """Reads one source for a consumer."""

    def read(self) -> Taken | None:
        """Read and take a batch; None if there was nothing."""

    def sync(self) -> None:
        """Do, every few seconds, what keeps this consumer's part of the source."""

    def close(self) -> None:
        """Close the connection; what was not acknowledged is delivered again."""


def reader_of(
    consumption: Consumption, source: Source, *, source_id: int, owner: UUID, using: str | None = None
) -> Reader:
    """Return the reader for a source of its kind. Raises ConfigurationError for an option that this kind has not."""
    if source.kind == "log":
        return LogReader(consumption, source, source_id=source_id, owner=owner, using=using)
    check_takeover(consumption)
    return QueueReader(consumption, source, source_id=source_id, using=using)


class QueueReader:
    """Receives from a queue; its broker gives each message to one consumer."""

    def __init__(self, consumption: Consumption, source: QueueSource, *, source_id: int, using: str | None) -> None:
        self._consumption = consumption
        self._source = source
        self._source_id = source_id
        self._using = using
        self._ask_broker_at = 0.0
        self._batches = _Batches(batch_seconds(source.redeliver_seconds))

    def read(self) -> Taken | None:
        """Receive, take, acknowledge; what lies behind poison that stops is released."""
        messages = self._batches.fill(lambda _got, limit, wait: self._source.receive(limit=limit, wait_seconds=wait))
        if not messages:
            return None
        taken = take_from_queue(self._consumption, self._source_id, messages, using=self._using)
        self._source.acknowledge(taken.done)
        if taken.left:
            self._source.release(taken.left)
        self._batches.done()
        return taken

    def sync(self) -> None:
        """Save the backlog, now and then."""
        from ..store.messages.sources import save_backlog

        if time.monotonic() >= self._ask_broker_at:
            self._ask_broker_at = time.monotonic() + BROKER_SECONDS
            save_backlog(self._source_id, self._source.backlog(), using=self._using)

    def close(self) -> None:
        """Close the connection."""
        self._source.close()


class LogReader:
    """Reads the partitions of a log that it owns, from the positions in the database."""

    def __init__(
        self, consumption: Consumption, source: LogSource, *, source_id: int, owner: UUID, using: str | None
    ) -> None:
        self._consumption = consumption
        self._source = source
        self._source_id = source_id
        self._owner = owner
        self._using = using
        takeover = consumption.source.takeover_after
        self._owned_seconds = OWNED_SECONDS if takeover is None else takeover.total_seconds()
        self._partitions: Sequence[str] = ()
        self._checked: set[str] = set()
        """Partitions of which it is known why they had a gap, until the broker is asked anew."""
        self._positions: dict[str, str] = {}
        self._ask_broker_at = 0.0
        self._batches = _Batches(batch_seconds(None))

    def read(self) -> Taken | None:
        """Read, take, and tell the broker the new positions."""
        if not self._positions:
            time.sleep(WAIT_SECONDS / 10)  # others own all partitions
            return None
        messages = self._without_repeats(self._batches.fill(self._read))
        if not messages:
            return None
        try:
            taken = take_from_log(self._consumption, self._source_id, messages, self._positions, using=self._using)
        except PositionMovedError:
            self._positions = {}  # read the rows again before the next batch
            raise
        self._positions.update(taken.positions)
        for partition in taken.stopped:
            self._positions.pop(partition, None)
        if taken.positions:
            self._source.record(taken.positions)
        self._batches.done()
        return taken

    def sync(self) -> None:
        """Take this consumer's share of the partitions, or release what is above it; save the lags, now and then."""
        from ..store.messages import positions as rows
        from ..store.messages.sources import count_consumers

        if time.monotonic() >= self._ask_broker_at:
            self._ask_broker_at = time.monotonic() + BROKER_SECONDS
            self._checked.clear()
            self._partitions = self._source.partitions()
            self._insert_new()
            lags = {name: self._source.lag(name, position) for name, position in self._positions.items()}
            rows.save_lags(self._source_id, lags, using=self._using)
        share = partition_share(
            all_partitions=self._partitions,
            owned=list(self._positions),
            free=rows.free_partitions(self._source_id, using=self._using),
            consumers=count_consumers(self._source_id, alive_seconds=self._owned_seconds, using=self._using),
        )
        if share.release:
            rows.release_partitions(self._source_id, self._owner, share.release, using=self._using)
        self._positions = rows.claim_partitions(
            self._source_id, self._owner, take=share.take, seconds=self._owned_seconds, using=self._using
        )

    def close(self) -> None:
        """Close the connection, and let others read on at once."""
        self._source.close()

    def _without_repeats(self, messages: Sequence[ReceivedMessage]) -> list[ReceivedMessage]:
        """Return messages whose positions rise: one that came twice in a batch would be two jobs.

        What begins elsewhere than at the stored position is read all the same, and said.
        """
        order = self._source.order_of
        following: dict[str, Any] = {}
        kept = []
        for message in messages:
            place, partition = order(message.position), message.partition
            if partition not in following:
                self._say_gap(message, place, order(self._positions[partition]))
            elif place < following[partition]:
                continue
            following[partition] = order(message.next_position)
            kept.append(message)
        return kept

    def _say_gap(self, first: ReceivedMessage, place: Any, expected: Any) -> None:
        """Log if a log begins before the stored position, which it never had, or behind it: messages are gone.

        Other positions without a message, such as the marks of transactions, mean nothing.
        """
        partition, stored = first.partition, self._positions[first.partition]
        if place == expected or partition in self._checked:
            return
        self._checked.add(partition)
        label = self._consumption.label
        if place < expected:
            logger.warning(
                "%s: partition %s has no position %s any more: it was created anew, or lost its end; reading on from"
                " %s, so what it still had is read again",
                label, partition, stored, first.position,
            )  # fmt: skip
        elif self._source.order_of(self._source.range_of(partition).first) > expected:
            logger.warning(
                "%s: partition %s has deleted messages that were not read, from position %s on; reading on from %s",
                label, partition, stored, first.position,
            )  # fmt: skip

    def _insert_new(self) -> None:
        """Insert the rows of new partitions; with ``start="latest"`` those that join later are read from the first."""
        from ..store.messages.positions import ensure_partitions, read_partitions

        known = {row.partition for row in read_partitions(self._source_id, using=self._using)}
        at_end = self._consumption.subscription.start == "latest" and not known
        starts = {}
        for partition in self._partitions:
            if partition not in known:
                bounds = self._source.range_of(partition)
                starts[partition] = bounds.end if at_end else bounds.first
        ensure_partitions(self._source_id, starts, using=self._using)

    def _read(self, got: Sequence[ReceivedMessage], limit: int, wait_seconds: float) -> Sequence[ReceivedMessage]:
        moved = {message.partition: message.next_position for message in got}
        return self._source.read({**self._positions, **moved}, limit=limit, wait_seconds=wait_seconds)


class _Batches:
    """Reads batches of at most 500 messages, and of as many as are not too large together and take not too long."""

    def __init__(self, max_seconds: float) -> None:
        self._limit = FIRST_MESSAGES
        self._max_seconds = max_seconds
        self._began = 0.0
        self._batch: Sequence[ReceivedMessage] = ()

    def fill(
        self, read: Callable[[Sequence[ReceivedMessage], int, float], Sequence[ReceivedMessage]]
    ) -> list[ReceivedMessage]:
        """Return a batch: wait for the first messages, then for no more than 50 ms until it is full.

        ``read(got, limit, wait_seconds)`` is given what the batch has so far.
        """
        self._began = time.monotonic()
        batch = list(read((), self._limit, WAIT_SECONDS))
        until = time.monotonic() + BATCH_SECONDS
        while batch and len(batch) < self._limit and (left := until - time.monotonic()) > 0:
            batch += read(batch, self._limit - len(batch), left)
        self._batch = batch
        return batch

    def done(self) -> None:
        """Choose the size of the next batch: the last one is acknowledged."""
        self._limit = next_limit(
            self._limit,
            messages=len(self._batch),
            size=sum(len(message.body) for message in self._batch),
            seconds=time.monotonic() - self._began,
            max_seconds=self._max_seconds,
        )
