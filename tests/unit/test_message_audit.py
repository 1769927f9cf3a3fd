"""Each promise of the audit of messages, broken once: an audit that finds nothing must be able to find something.

The broken variants of intake and relay are here by what they leave behind, too: acknowledge first, no guard, no inbox.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from tests.chaos.messages.audit import PROMISES, MessageFacts, Record, audit


def record(number: int, *, key: str = "a", named: str | None = None) -> Record:
    return Record(number=number, key=key, id=f"id-{number}" if named is None else named)


ONCE = [record(0), record(1), record(2, key="b")]
QUEUE = MessageFacts(
    kind="queue", committed=frozenset({0, 1, 2}), rolled_back=frozenset({3}), records=[*ONCE, *ONCE], received=[2, 1, 0]
)
LOG = replace(QUEUE, kind="log", received=[0, 1, 2, 0, 1, 2])


def test_kept_promises_have_no_finding() -> None:
    assert audit(QUEUE) == []
    assert audit(LOG) == []


BROKEN = {
    "what_was_committed_is_sent": replace(QUEUE, committed=frozenset({0, 1, 2, 4})),
    "what_was_rolled_back_is_not_sent": replace(QUEUE, rolled_back=frozenset({2})),
    "a_message_has_one_id": replace(QUEUE, records=[*ONCE, record(1, named="another")]),
    "a_key_is_sent_in_order": replace(QUEUE, records=[record(1), record(0), record(2, key="b")]),
    "what_was_sent_is_received": replace(QUEUE, received=[0, 1]),
    "each_delivery_is_one_job": replace(QUEUE, received=[0, 1, 2, 1]),
    "a_log_is_received_in_order": replace(LOG, received=[0, 0, 1, 1, 2, 2]),
    "nothing_is_left_at_the_broker": replace(QUEUE, left=1),
    "no_process_is_left": replace(QUEUE, processes=[7]),
}


@pytest.mark.parametrize("promise", [promise.__name__ for promise in PROMISES])
def test_a_broken_promise_is_found(promise: str) -> None:
    findings = audit(BROKEN[promise])
    assert {finding.partition(":")[0] for finding in findings} == {promise}


@pytest.mark.parametrize(
    ("facts", "promise"),
    [
        (replace(QUEUE, unsent=Counter({"dead": 1})), "what_was_committed_is_sent"),
        (replace(QUEUE, records=[record(0, named=""), *ONCE[1:]]), "a_message_has_one_id"),
        (replace(QUEUE, records=[*ONCE[:2], record(2, key="b", named="id-1")]), "a_message_has_one_id"),
        (replace(LOG, received=[0, 1, 2, 0, 1, 2, 2]), "each_delivery_is_one_job"),
    ],
)
def test_other_ways_to_break_a_promise_are_found(facts: MessageFacts, promise: str) -> None:
    assert {finding.partition(":")[0] for finding in audit(facts)} == {promise}
