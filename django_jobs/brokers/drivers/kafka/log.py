"""Read a topic as a log, from positions that the database keeps: a position is an offset."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Literal

from ...interface import PartitionRange, ReceivedMessage
from .errors import Errors
from .messages import from_message


class KafkaLog:
    """The topic of a subscription. ``group``: where positions are committed for Kafka's tools; empty: nowhere."""

    kind: Literal["log"] = "log"

    def __init__(self, module: Any, consumer: Any, errors: Errors, *, topic: str, group: str) -> None:
        self._module = module
        self._consumer: Any = consumer
        self._errors = errors
        self._topic = topic
        self._group = group
        self._next: dict[str, int] = {}
        """The partitions that are assigned, and the offset that each gives next."""
        self._read_up_to: dict[str, int] = {}
        """The offset behind what a partition had when all of it was given, whether or not that was messages."""

    def partitions(self) -> Sequence[str]:
        """Return the numbers of all partitions."""
        metadata = self._errors.ask(lambda seconds: self._consumer.list_topics(self._topic, timeout=seconds))
        topic = metadata.topics[self._topic]
        if topic.error is not None:
            raise self._errors.down(topic.error.str())  # opening it anew says what is wrong
        return [str(number) for number in sorted(topic.partitions)]

    def range_of(self, partition: str, /) -> PartitionRange:
        """Return the offset of the first message, and the one behind the last: the low and the high watermark."""
        first, end = self._watermarks(partition)
        return PartitionRange(first=str(first), end=str(end))

    def position_at(self, partition: str, instant: datetime, /) -> str:
        """Return the offset of the first message of this time or later."""
        milliseconds = max(math.ceil(instant.timestamp() * 1000), 0)
        wanted = [self._place(partition, milliseconds)]
        (found,) = self._errors.ask(lambda seconds: self._consumer.offsets_for_times(wanted, timeout=seconds))
        if found.error is not None:
            raise self._errors.down(found.error.str())
        return str(found.offset) if found.offset >= 0 else self.range_of(partition).end

    def order_of(self, position: str, /) -> int:
        """Return the offset."""
        return int(position)

    def lag(self, partition: str, position: str, /) -> int | None:
        """Return how many offsets are left; some may belong to no message (transactions, compaction)."""
        first, end = self._watermarks(partition)
        return max(end - max(int(position), first), 0)

    def read(self, positions: Mapping[str, str], /, *, limit: int, wait_seconds: float) -> Sequence[ReceivedMessage]:
        """Return what the client has fetched; if that is nothing, wait for the first message.

        The client connects again by itself, so an outage is what it has told of and a question confirms.
        """
        if limit <= 0 or not positions:
            return []
        self._assign({partition: int(position) for partition, position in positions.items()})
        until = time.monotonic() + wait_seconds
        found = self._consume(limit, 0.0)
        while not found and (left := until - time.monotonic()) > 0:
            found = self._consume(1, left)
            found += self._consume(limit - len(found), 0.0) if found else []
        if not found and self._errors.is_down:
            self._errors.is_down = False
            self.partitions()  # raises if that is still so
        return found

    def is_gap(self, partition: str, start: str, end: str, /) -> bool:
        """Tell whether the client has come to ``end`` since it gave the message before ``start``."""
        return self._next.get(partition) == int(start) and self._read_up_to.get(partition, -1) >= int(end)

    def record(self, positions: Mapping[str, str], /) -> None:
        """Commit the offsets to the group, without waiting for an answer."""
        if self._group:
            offsets = [self._place(partition, int(position)) for partition, position in positions.items()]
            with suppress(self._errors.exception):
                self._consumer.commit(offsets=offsets, asynchronous=True)

    def close(self) -> None:
        """Let the client go; its own ``close`` would wait for a broker that does not answer."""
        self._consumer = None

    def _assign(self, wanted: dict[str, int]) -> None:
        """Read from these offsets on; what is fetched is dropped unless they are where the last read has ended."""
        if wanted == self._next:
            return
        places = [self._place(partition, offset) for partition, offset in wanted.items()]
        try:
            self._consumer.assign(places)
        except self._errors.exception as error:
            raise self._errors.down(error.args[0].str()) from error
        self._next = wanted
        self._read_up_to.clear()

    def _consume(self, limit: int, wait_seconds: float) -> list[ReceivedMessage]:
        if limit <= 0:
            return []
        found = []
        try:
            messages = self._consumer.consume(limit, timeout=wait_seconds)
        except self._errors.exception as error:
            raise self._errors.down(error.args[0].str()) from error
        for message in messages:
            if message.error() is not None:
                if self._errors.is_end(message.error()):
                    self._read_up_to[str(message.partition())] = message.offset()
                    continue
                raise self._errors.down(message.error().str())
            found.append(from_message(message))
            self._next[found[-1].partition] = message.offset() + 1
        return found

    def _watermarks(self, partition: str) -> tuple[int, int]:
        place = self._place(partition)
        found = self._errors.ask(lambda seconds: self._consumer.get_watermark_offsets(place, timeout=seconds))
        if found is None:
            raise self._errors.down("no answer in time")
        first, end = found
        return int(first), int(end)

    def _place(self, partition: str, offset: int = 0) -> Any:
        return self._module.TopicPartition(self._topic, int(partition), offset)
