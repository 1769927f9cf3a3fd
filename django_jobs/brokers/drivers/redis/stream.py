"""Read a stream as a log of one partition, from positions that the database keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Literal

from ...interface import PartitionRange, ReceivedMessage
from .errors import Errors
from .fields import from_entry
from .positions import before, behind, milliseconds, order_of

PARTITION = "0"
MAX_COUNTED = 10_000
COUNT_SCRIPT = "return #redis.call('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', ARGV[2])"


class RedisStream:
    """The whole stream, without a group at Redis."""

    kind: Literal["log"] = "log"

    def __init__(self, client: Any, errors: Errors, name: str) -> None:
        self._client = client
        self._errors = errors
        self._name = name

    def partitions(self) -> Sequence[str]:
        """Return the only one."""
        return [PARTITION]

    def range_of(self, partition: str, /) -> PartitionRange:
        """Return the id of the first entry, and the one behind the newest that ever was."""
        info = self._info()
        end = behind(info["last-generated-id"].decode())
        first = info["first-entry"]
        return PartitionRange(first=end if first is None else first[0].decode(), end=end)

    def position_at(self, partition: str, instant: datetime, /) -> str:
        """Return the id of the first entry that was added at or after an instant."""
        start = f"{max(int(instant.timestamp() * 1000), 0)}-0"
        found = self._errors.ask(lambda: self._client.xrange(self._name, min=start, count=1))
        return found[0][0].decode() if found else self.range_of(partition).end

    def order_of(self, position: str, /) -> tuple[int, int]:
        """Return time and number of an id."""
        return order_of(position)

    def lag(self, partition: str, position: str, /) -> int | None:
        """Return how many entries are left, above 10,000 about how many: Redis counts no entries between two ids."""
        info = self._info()
        last, first = info["last-generated-id"].decode(), info["first-entry"]
        if first is None or order_of(last) < order_of(position):
            return 0
        first_id = first[0].decode()
        if order_of(position) <= order_of(first_id):
            return int(info["length"])
        count: int = int(
            self._errors.ask(lambda: self._client.eval(COUNT_SCRIPT, 1, self._name, position, MAX_COUNTED))
        )
        if count < MAX_COUNTED:
            return count
        span = milliseconds(last) - milliseconds(first_id)
        share = (milliseconds(last) - milliseconds(position)) / span if span else 1.0
        return max(round(int(info["length"]) * share), MAX_COUNTED)

    def read(self, positions: Mapping[str, str], /, *, limit: int, wait_seconds: float) -> Sequence[ReceivedMessage]:
        """Read from a position on."""
        if limit <= 0 or PARTITION not in positions:
            return []
        streams = {self._name: before(positions[PARTITION])}
        answer = self._errors.ask(
            lambda: self._client.xread(streams, count=limit, block=round(wait_seconds * 1000) or None)
        )
        return [from_entry(entry_id, fields, partition=PARTITION) for entry_id, fields in entries_of(answer)]

    def is_gap(self, partition: str, start: str, end: str, /) -> bool:
        """Ask for one entry of these ids."""
        return not self._errors.ask(lambda: self._client.xrange(self._name, min=start, max=before(end), count=1))

    def record(self, positions: Mapping[str, str], /) -> None:
        """Do nothing: a stream has no place for the positions of those who read without a group."""

    def close(self) -> None:
        """Close the connection."""
        with suppress(Exception):
            self._client.close()

    def _info(self) -> Any:
        return self._errors.ask(lambda: self._client.xinfo_stream(self._name))


def entries_of(answer: Any) -> list[tuple[bytes, Mapping[bytes, bytes]]]:
    """Return the entries in the answer to XREAD or XREADGROUP for one stream."""
    return list(answer[0][1]) if answer else []
