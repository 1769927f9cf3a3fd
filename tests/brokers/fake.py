"""A broker that keeps its messages in an SQLite file: a log (``fakelog:``) or a queue (``fakequeue:``).

It is a real third party: other processes see it, it survives their deaths, and it does what the tests tell it: to be
down, to refuse, to deliver everything twice.
"""

from __future__ import annotations

import json
import sqlite3
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from zlib import crc32

from django_jobs.brokers.interface import (
    BrokerDownError,
    OutgoingMessage,
    PartitionRange,
    ReceivedMessage,
    Refused,
    SendOutcome,
    Sent,
    Source,
    SourceKind,
    Subscription,
    import_client,
)
from django_jobs.conf.broker_schemes import BrokerScheme, register_scheme
from django_jobs.conf.brokers import BrokerSettings
from django_jobs.exceptions import ConfigurationError

MAX_BYTES = 10_000
PREFIX = "ce-"
TABLES = """
CREATE TABLE IF NOT EXISTS topic (name text PRIMARY KEY, partitions int, refuses text);
CREATE TABLE IF NOT EXISTS message (
    id integer PRIMARY KEY AUTOINCREMENT, topic text, "partition" text, position int, key text, headers text, body blob,
    content_type text, sent_at float, taken_by text, deliveries int DEFAULT 0
);
CREATE INDEX IF NOT EXISTS place ON message (topic, "partition", position);
CREATE TABLE IF NOT EXISTS recorded (topic text, consumers text, "partition" text, position text,
    PRIMARY KEY (topic, consumers, "partition"));
CREATE TABLE IF NOT EXISTS doubling (topic text PRIMARY KEY);
"""


class Broker:
    """The file, and what tests do to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None
        with self.transaction() as cursor:
            cursor.connection.executescript(TABLES)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Cursor]:
        """Open a transaction on a connection of its own: threads and forks share none."""
        connection = sqlite3.connect(self.path, timeout=30, isolation_level=None)
        try:
            connection.execute("PRAGMA synchronous=OFF")
            connection.execute("BEGIN IMMEDIATE")
            yield connection.cursor()
            if connection.in_transaction:
                connection.commit()
        finally:
            connection.close()

    @property
    def _flag(self) -> Path:
        return self.path.with_suffix(".down")

    def stop(self) -> None:
        """Answer nobody."""
        self._flag.touch()

    def start(self) -> None:
        """Answer again; what was taken and not acknowledged is delivered again."""
        self._flag.unlink(missing_ok=True)
        self.redeliver()

    def check_up(self) -> None:
        if self._flag.exists():
            raise BrokerDownError("the file says that the broker is down")

    def create(self, name: str, *, partitions: int = 1) -> None:
        with self.transaction() as cursor:
            cursor.execute("INSERT OR IGNORE INTO topic VALUES (?, ?, NULL)", [name, partitions])

    def refuse(self, name: str, reason: str | None) -> None:
        """Refuse the messages of a topic for now; None: take them again."""
        with self.transaction() as cursor:
            cursor.execute("UPDATE topic SET refuses = ? WHERE name = ?", [reason, name])

    def redeliver(self) -> None:
        """Deliver what is not acknowledged again, as if its consumers were dead."""
        with self.transaction() as cursor:
            cursor.execute("UPDATE message SET taken_by = NULL")

    def rows(self, topic: str, columns: str = "*") -> list[tuple[Any, ...]]:
        with self.transaction() as cursor:
            return cursor.execute(f"SELECT {columns} FROM message WHERE topic = ? ORDER BY id", [topic]).fetchall()

    def append(self, topic: str, message: OutgoingMessage) -> SendOutcome:
        with self.transaction() as cursor:
            found = cursor.execute("SELECT partitions, refuses FROM topic WHERE name = ?", [topic]).fetchone()
            if found is None:
                return Refused(reason=f"there is no topic {topic}", is_permanent=False)
            partitions, refuses = found
            if refuses is not None and (message.key is None or message.key.startswith(refuses)):
                return Refused(reason=f"not now: {refuses}")
            if len(message.body) > MAX_BYTES:
                return Refused(reason=f"{len(message.body)} bytes are more than {MAX_BYTES}", is_permanent=True)
            partition = str(crc32((message.key or "").encode()) % partitions)
            (position,) = cursor.execute(
                'SELECT coalesce(max(position) + 1, 0) FROM message WHERE topic = ? AND "partition" = ?',
                [topic, partition],
            ).fetchone()
            cursor.execute(
                'INSERT INTO message (topic, "partition", position, key, headers, body, content_type, sent_at)'
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    topic,
                    partition,
                    position,
                    message.key,
                    json.dumps(message.wire_headers(PREFIX)),
                    message.body,
                    message.content_type,
                    time.time(),
                ],
            )
        return Sent()


class FakeSender:
    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def send(self, messages: Sequence[OutgoingMessage], /) -> Sequence[SendOutcome]:
        self._broker.check_up()
        return [self._broker.append(message.destination, message) for message in messages]

    def close(self) -> None:
        pass


_COLUMNS = 'id, "partition", position, key, headers, body, content_type, sent_at'


def _received(row: tuple[Any, ...]) -> ReceivedMessage:
    number, partition, position, key, headers, body, content_type, sent_at = row
    return ReceivedMessage(
        body=body,
        headers=json.loads(headers),
        content_type=content_type,
        key=key,
        message_id=f"fake-{number}",
        sent_at=datetime.fromtimestamp(sent_at, UTC),
        partition=partition,
        position=str(position),
        next_position=str(position + 1),
        receipt=number,
    )


class FakeLog:
    kind: Literal["log"] = "log"

    def __init__(self, broker: Broker, subscription: Subscription) -> None:
        self._broker, self._subscription, self._topic = broker, subscription, subscription.name

    def partitions(self) -> Sequence[str]:
        self._broker.check_up()
        with self._broker.transaction() as cursor:
            (number,) = cursor.execute("SELECT partitions FROM topic WHERE name = ?", [self._topic]).fetchone()
        return [str(partition) for partition in range(number)]

    def range_of(self, partition: str, /) -> PartitionRange:
        self._broker.check_up()
        first, last = self._one("min(position), max(position)", partition)
        return PartitionRange(first=str(first or 0), end=str(0 if last is None else last + 1))

    def position_at(self, partition: str, instant: datetime, /) -> str:
        (found,) = self._one("min(position)", partition, f"AND sent_at >= {instant.timestamp()!r}")
        return self.range_of(partition).end if found is None else str(found)

    def order_of(self, position: str, /) -> int:
        return int(position)

    def lag(self, partition: str, position: str, /) -> int | None:
        (number,) = self._one("count(*)", partition, f"AND position >= {int(position)}")
        return int(number)

    def _one(self, columns: str, partition: str, where: str = "") -> tuple[Any, ...]:
        with self._broker.transaction() as cursor:
            row: tuple[Any, ...] = cursor.execute(
                f'SELECT {columns} FROM message WHERE topic = ? AND "partition" = ? {where}', [self._topic, partition]
            ).fetchone()
            return row

    def read(self, positions: Mapping[str, str], /, *, limit: int, wait_seconds: float) -> Sequence[ReceivedMessage]:
        until = time.monotonic() + wait_seconds
        while True:
            self._broker.check_up()
            found: list[tuple[Any, ...]] = []
            with self._broker.transaction() as cursor:
                for partition, position in sorted(positions.items()):
                    found += cursor.execute(
                        f'SELECT {_COLUMNS} FROM message WHERE topic = ? AND "partition" = ? AND position >= ?'
                        " ORDER BY position LIMIT ?",
                        [self._topic, partition, int(position), limit - len(found)],
                    ).fetchall()
            if found or time.monotonic() >= until:
                return [_received(row) for row in found]
            time.sleep(0.01)

    def is_gap(self, partition: str, start: str, end: str, /) -> bool:
        (number,) = self._one("count(*)", partition, f"AND position >= {int(start)} AND position < {int(end)}")
        return not number

    def record(self, positions: Mapping[str, str], /) -> None:
        with self._broker.transaction() as cursor:
            for partition, position in positions.items():
                cursor.execute(
                    "INSERT OR REPLACE INTO recorded VALUES (?, ?, ?, ?)",
                    [self._topic, self._subscription.group, partition, position],
                )

    def close(self) -> None:
        pass


class FakeQueue:
    kind: Literal["queue"] = "queue"
    redeliver_seconds: float | None = None

    def __init__(self, broker: Broker, subscription: Subscription) -> None:
        self._broker, self._topic, self._token = broker, subscription.name, uuid.uuid4().hex

    def receive(self, *, limit: int, wait_seconds: float) -> Sequence[ReceivedMessage]:
        until = time.monotonic() + wait_seconds
        while True:
            self._broker.check_up()
            with self._broker.transaction() as cursor:
                found = cursor.execute(
                    f"SELECT {_COLUMNS} FROM message WHERE topic = ? AND taken_by IS NULL ORDER BY id LIMIT ?",
                    [self._topic, limit],
                ).fetchall()
                self._update(cursor, [row[0] for row in found], "taken_by = ?, deliveries = deliveries + 1")
            if found or time.monotonic() >= until:
                no_place = {"partition": "", "position": "", "next_position": ""}
                return [replace(_received(row), **no_place) for row in found]
            time.sleep(0.01)

    def _update(self, cursor: sqlite3.Cursor, ids: Sequence[int], what: str) -> None:
        marks = ",".join("?" * len(ids))
        values = [self._token] if "?" in what else []
        cursor.execute(f"UPDATE message SET {what} WHERE id IN ({marks})", [*values, *ids])

    def acknowledge(self, messages: Sequence[ReceivedMessage], /) -> None:
        self._broker.check_up()
        with self._broker.transaction() as cursor:
            marks = ",".join("?" * len(messages))
            cursor.execute(f"DELETE FROM message WHERE id IN ({marks})", [message.receipt for message in messages])

    def release(self, messages: Sequence[ReceivedMessage], /) -> None:
        with self._broker.transaction() as cursor:
            self._update(cursor, [message.receipt for message in messages], "taken_by = NULL")

    def backlog(self) -> int | None:
        with self._broker.transaction() as cursor:
            (number,) = cursor.execute("SELECT count(*) FROM message WHERE topic = ?", [self._topic]).fetchone()
            return int(number)

    def close(self) -> None:
        with self._broker.transaction() as cursor:
            cursor.execute("UPDATE message SET taken_by = NULL WHERE taken_by = ?", [self._token])


class FakeDriver:
    """Both schemes: the path of the URL is the file."""

    def __init__(self, settings: BrokerSettings, /) -> None:
        self._settings = settings

    @property
    def _broker(self) -> Broker:
        return Broker(Path("/") / self._settings.url.path)

    def check(self, subscription: Subscription, /) -> None:
        if subscription.bind:
            raise ConfigurationError("bind: a fake broker has no exchanges; leave it out")

    def source_kind(self, subscription: Subscription, /) -> SourceKind:
        return "log" if self._settings.scheme.name == "fakelog" else "queue"

    def open_sender(self) -> FakeSender:
        self._broker.check_up()
        return FakeSender(self._broker)

    def open_source(self, subscription: Subscription, /) -> Source:
        broker = self._broker
        broker.check_up()
        with broker.transaction() as cursor:
            if cursor.execute("SELECT 1 FROM topic WHERE name = ?", [subscription.name]).fetchone() is None:
                raise ConfigurationError(
                    f"DJANGO_JOBS['BROKERS'][{self._settings.name!r}]: expected a topic {subscription.name!r}, which"
                    " is not there; create it"
                )
        is_log = self.source_kind(subscription) == "log"
        return FakeLog(broker, subscription) if is_log else FakeQueue(broker, subscription)


class LeakingDriver(FakeDriver):
    """A broker whose errors quote the password, as those of clients do."""

    error: type[Exception] = ConfigurationError

    def open_sender(self) -> FakeSender:
        raise self.error(f"cannot log in with {self._settings.url.password}")

    def open_source(self, subscription: Subscription, /) -> Source:
        raise self.error(f"cannot log in with {self._settings.url.password}")


class ClientlessDriver(FakeDriver):
    """A broker whose client is not installed; its error quotes the URL, as clients do."""

    def open_sender(self) -> FakeSender:
        try:
            import_client(self._settings.scheme)
        except ConfigurationError as error:
            raise ConfigurationError(f"{error} ({self._settings.url.password})") from None
        raise AssertionError


def register() -> None:
    """Make both schemes known."""
    for name in ("fakelog", "fakequeue"):
        register_scheme(
            BrokerScheme(
                name=name,
                driver="tests.brokers.fake.FakeDriver",
                example=f"{name}:///path/of/file",
                needs_host=False,
            )
        )
