"""Audit of messages: compare what was published with what the broker has and what it became. One function a promise.

Each yields what is wrong, in words. ``tests/unit/test_message_audit.py`` breaks each promise once.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal, NamedTuple


class Record(NamedTuple):
    """A message as the broker keeps it."""

    number: int
    key: str
    id: str
    partition: str = "0"


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageFacts:
    """All that is known at the end. Numbers are counted up in the order of the enqueues.

    ``committed``, ``rolled_back``: the published messages. ``records``: in the broker's order, everything that ever was
    sent. ``received``: the numbers of the jobs, in their order. ``left``: messages that the queue has not had
    acknowledged. ``unsent``: states of sending jobs that did not succeed. ``processes``: that have not ended.
    """

    kind: Literal["log", "queue"]
    committed: frozenset[int]
    rolled_back: frozenset[int] = frozenset()
    records: Sequence[Record] = ()
    received: Sequence[int] = ()
    left: int = 0
    unsent: Counter[str] = field(default_factory=Counter)
    processes: Sequence[int] = ()


def audit(facts: MessageFacts) -> list[str]:
    """Return what is wrong; nothing if every promise was kept."""
    return [f"{promise.__name__}: {finding}" for promise in PROMISES for finding in promise(facts)]


def what_was_committed_is_sent(facts: MessageFacts) -> Iterator[str]:
    if lost := facts.committed - {record.number for record in facts.records}:
        yield f"{len(lost)} messages were never sent: {sorted(lost)[:10]}"
    if facts.unsent:
        yield f"jobs that send: {dict(facts.unsent)}"


def what_was_rolled_back_is_not_sent(facts: MessageFacts) -> Iterator[str]:
    if sent := facts.rolled_back & {record.number for record in facts.records}:
        yield f"sent all the same: {sorted(sent)[:10]}"


def a_message_has_one_id(facts: MessageFacts) -> Iterator[str]:
    ids, numbers = defaultdict(set), defaultdict(set)
    for record in facts.records:
        ids[record.number].add(record.id)
        numbers[record.id].add(record.number)
    for number, found in ids.items():
        if len(found) != 1 or not min(found):
            yield f"message {number} has the ids {sorted(found)}"
    for found_id, of in numbers.items():
        if len(of) > 1:
            yield f"the messages {sorted(of)} have the id {found_id}"


def a_key_is_sent_in_order(facts: MessageFacts) -> Iterator[str]:
    """A message may come again later; when each came first is in order."""
    for key, numbers in _by_key(facts.records).items():
        for earlier, later in pairwise(dict.fromkeys(numbers)):
            if later < earlier:
                yield f"key {key}: {later} came first after {earlier}"


def what_was_sent_is_received(facts: MessageFacts) -> Iterator[str]:
    """Nothing was acknowledged whose job was not committed."""
    if lost := {record.number for record in facts.records} - set(facts.received):
        yield f"{len(lost)} messages made no job: {sorted(lost)[:10]}"


def each_delivery_is_one_job(facts: MessageFacts) -> Iterator[str]:
    """Of a queue an id is one job, of a log a position: a copy that was sent twice is two."""
    sent = Counter(record.number for record in facts.records)
    received = Counter(facts.received)
    for number, times in received.items():
        allowed = sent[number] if facts.kind == "log" else 1
        if times > allowed:
            yield f"message {number} is {times} jobs, and {allowed} are right"


def a_log_is_received_in_order(facts: MessageFacts) -> Iterator[str]:
    """Its jobs of each key are the log's messages, one by one."""
    if facts.kind == "queue":
        return
    keys = {record.number: record.key for record in facts.records}
    received = defaultdict(list)
    for number in facts.received:
        received[keys.get(number, "")].append(number)
    for key, numbers in _by_key(facts.records).items():
        if received[key] != numbers and Counter(received[key]) == Counter(numbers):
            yield f"key {key}: received {received[key][:20]}, sent {numbers[:20]}"


def nothing_is_left_at_the_broker(facts: MessageFacts) -> Iterator[str]:
    if facts.left:
        yield f"{facts.left} messages are not acknowledged"


def no_process_is_left(facts: MessageFacts) -> Iterator[str]:
    if facts.processes:
        yield f"processes that have not ended: {facts.processes}"


def _by_key(records: Sequence[Record]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for record in records:
        found[record.key].append(record.number)
    return found


PROMISES: Sequence[Callable[[MessageFacts], Iterator[str]]] = (
    what_was_committed_is_sent,
    what_was_rolled_back_is_not_sent,
    a_message_has_one_id,
    a_key_is_sent_in_order,
    what_was_sent_is_received,
    each_delivery_is_one_job,
    a_log_is_received_in_order,
    nothing_is_left_at_the_broker,
    no_process_is_left,
)
