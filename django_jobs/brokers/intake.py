"""Take a batch in: its jobs, and the place up to which the source is read, in one transaction.

::

    check each body against the signature
    one transaction:  a log    move the position, if it still is where the batch was read from
                      a queue  insert the ids that are new into the inbox; a log too, with deduplicate=True
                      insert a job for each message, and one for each that is poison
    the caller acknowledges after that, and never before
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ..exceptions import JobsError
from ..policy.cloud_events import deduplication_id
from .converting import CheckedMessage, Enqueued, check_messages, enqueue_checked, storable_only
from .interface import ReceivedMessage
from .poison import enqueue_poison
from .subscriptions import Consumption

logger = logging.getLogger("django_jobs.brokers")


class PositionMovedError(JobsError):
    """Another consumer has read this partition on; nothing of this batch was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """The result of a batch: all of ``done`` may be acknowledged.

    ``positions``: where each partition of a log continues. ``stopped``: the poison at which reading has stopped, by
    partition; ``""`` for a queue. ``left``: messages behind it, which were not taken.
    """

    jobs: int = 0
    duplicates: int = 0
    poison: int = 0
    done: Sequence[ReceivedMessage] = ()
    left: Sequence[ReceivedMessage] = ()
    positions: Mapping[str, str] = field(default_factory=dict)
    stopped: Mapping[str, str] = field(default_factory=dict)


def take_from_log(
    consumption: Consumption,
    source_id: int,
    messages: Sequence[ReceivedMessage],
    positions: Mapping[str, str],
    *,
    using: str | None = None,
) -> Taken:
    """Take messages that were read from ``positions``. Raises PositionMovedError if one of them is not where it was."""
    from ..store.transactions import retry_on_conflict

    return retry_on_conflict(lambda: _take_from_log(consumption, source_id, messages, positions, using), using=using)


def _take_from_log(
    consumption: Consumption,
    source_id: int,
    messages: Sequence[ReceivedMessage],
    positions: Mapping[str, str],
    using: str | None,
) -> Taken:
    from ..store.dialects import open_dialect
    from ..store.messages.positions import move_position, stop_partition

    dialect, connection = open_dialect(using)
    checked = check_messages(consumption, messages)
    cut = _cut_at_poison(consumption, checked)
    with dialect.write_transaction(connection):
        moved = {message.partition: message.next_position for message in cut.messages}
        for partition, position in sorted(moved.items()):
            read_from = positions[partition]
            if not move_position(source_id, partition, read_from=read_from, next_position=position, using=using):
                raise PositionMovedError(f"{consumption.label}: partition {partition} is not at {read_from} any more")
        deduplicate = consumption.source.deduplicate
        new = _new_only(consumption, source_id, cut.checked, using=using) if deduplicate else cut.checked
        enqueued = _enqueue(consumption, new)
        for partition, reason in sorted(cut.stopped.items()):
            stands_at = moved.get(partition, positions[partition])
            if not stop_partition(source_id, partition, reason, stands_at=stands_at, using=using):
                raise PositionMovedError(f"{consumption.label}: partition {partition} is not at {stands_at} any more")
    return Taken(
        jobs=len(enqueued.job_ids),
        duplicates=len(cut.checked) - len(new),
        poison=len(enqueued.poison),
        done=cut.messages,
        left=cut.left,
        positions=moved,
        stopped=cut.stopped,
    )


def take_from_queue(
    consumption: Consumption, source_id: int, messages: Sequence[ReceivedMessage], *, using: str | None = None
) -> Taken:
    """Take messages of a queue; those whose id is known are duplicates, and make no job."""
    from ..store.transactions import retry_on_conflict

    return retry_on_conflict(lambda: _take_from_queue(consumption, source_id, messages, using), using=using)


def _take_from_queue(
    consumption: Consumption, source_id: int, messages: Sequence[ReceivedMessage], using: str | None
) -> Taken:
    from ..store.dialects import open_dialect
    from ..store.messages.sources import stop_source

    dialect, connection = open_dialect(using)
    cut = _cut_at_poison(consumption, check_messages(consumption, messages))
    with dialect.write_transaction(connection):
        new = _new_only(consumption, source_id, cut.checked, using=using)
        enqueued = _enqueue(consumption, new)
        for reason in cut.stopped.values():
            stop_source(source_id, reason, using=using)
    return Taken(
        jobs=len(enqueued.job_ids),
        duplicates=len(cut.checked) - len(new),
        poison=len(enqueued.poison),
        done=cut.messages,
        left=cut.left,
        stopped=cut.stopped,
    )


class _Cut(NamedTuple):
    """The messages that are taken, those behind poison that stops, and that poison's reason by partition."""

    checked: list[CheckedMessage]
    left: list[ReceivedMessage]
    stopped: dict[str, str]

    @property
    def messages(self) -> list[ReceivedMessage]:
        return [one.message for one in self.checked]


def _cut_at_poison(consumption: Consumption, checked: list[CheckedMessage]) -> _Cut:
    """Return what is taken: all, or with ``on_poison="stop"`` of each partition what comes before its poison."""
    if consumption.source.on_poison != "stop":
        return _Cut(checked, [], {})
    checked = storable_only(consumption, checked)
    taken: list[CheckedMessage] = []
    left: list[ReceivedMessage] = []
    stopped: dict[str, str] = {}
    for one in checked:
        partition = one.message.partition
        if partition not in stopped and one.bound is None:
            stopped[partition] = one.reason
        if partition in stopped:
            left.append(one.message)
        else:
            taken.append(one)
    return _Cut(taken, left, stopped)


def _enqueue(consumption: Consumption, checked: Sequence[CheckedMessage]) -> Enqueued:
    """Enqueue jobs in the messages' order, and those that keep poison."""
    enqueued = enqueue_checked(consumption, checked)
    if enqueued.poison:
        enqueue_poison(consumption, enqueued.poison)
        for message, reason in enqueued.poison:
            place = f" (partition {message.partition}, position {message.position})" if message.position else ""
            logger.warning("%s: a message%s cannot become a job: %s", consumption.label, place, reason)
    return enqueued


def _new_only(
    consumption: Consumption, source_id: int, checked: Sequence[CheckedMessage], *, using: str | None
) -> list[CheckedMessage]:
    """Insert the ids that are new into the inbox; return their messages, the first of each, and those without an id."""
    from ..store.messages.inbox import insert_new_ids

    ids = [_id_of(consumption, one.message) for one in checked]
    unknown = insert_new_ids(source_id, list(dict.fromkeys(filter(None, ids))), using=using)
    new: list[CheckedMessage] = []
    for one, text in zip(checked, ids, strict=True):
        if text is None or text in unknown:
            new.append(one)
            unknown.discard(text or "")
    return new


_without_id: set[str] = set()


def _id_of(consumption: Consumption, message: ReceivedMessage) -> str | None:
    found = deduplication_id(message.headers, message.message_id)
    if found is None and consumption.label not in _without_id:
        _without_id.add(consumption.label)
        logger.warning(
            "%s: a message has no id (CloudEvents id, Idempotency-Key, or the broker's): a second delivery of such a"
            " message makes a second job",
            consumption.label,
        )
    return found
