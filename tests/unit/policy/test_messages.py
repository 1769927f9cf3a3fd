"""The pure decisions about messages: patterns, ids, shares of partitions, pauses."""

from __future__ import annotations

from uuid import UUID, uuid5

import pytest

from django_jobs.policy.broker_url import hide_secrets
from django_jobs.policy.cloud_events import deduplication_id, event_attributes, message_id, received_id
from django_jobs.policy.outage_pauses import outage_pause, pause_until_test
from django_jobs.policy.partitions import PartitionShare, partition_share
from django_jobs.policy.topics import matches


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("orders", ["orders"], ["orders.placed", "order"]),
        ("orders.*", ["orders.placed"], ["orders", "orders.eu.placed", "returns.placed"]),
        ("orders.#", ["orders", "orders.placed", "orders.eu.placed"], ["returns", "ordersx"]),
        ("*.placed", ["orders.placed"], ["placed", "a.b.placed"]),
        ("#.placed", ["placed", "orders.placed", "a.b.placed"], ["placed.x"]),
        ("a.#.z", ["a.z", "a.b.z", "a.b.c.z"], ["a", "z", "a.b"]),
        ("#", ["", "a", "a.b"], []),
        ("a.*.#", ["a.b", "a.b.c"], ["a"]),
    ],
)
def test_a_pattern_matches_as_in_amqp(pattern: str, yes: list[str], no: list[str]) -> None:
    assert [name for name in yes if not matches(pattern, name)] == []
    assert [name for name in no if matches(pattern, name)] == []


def test_a_message_has_one_id_at_all_attempts_and_another_in_another_installation() -> None:
    first = message_id(installation="shop", job_id=7, enqueued=1.5)
    assert first == message_id(installation="shop", job_id=7, enqueued=1.5)
    assert first == str(uuid5(UUID("6f0f4d0e-0a39-4a53-9d6c-0b6f5d9a2c11"), "shop\x007\x001.500000"))
    others = [
        message_id(installation="shop", job_id=8, enqueued=1.5),
        message_id(installation="other", job_id=7, enqueued=1.5),
        message_id(installation="shop", job_id=7, enqueued=2.5),
    ]
    assert len({first, *others}) == 4


def test_the_attributes_are_those_of_cloud_events() -> None:
    found = event_attributes(event_id="i", source="/shop", event_type="orders.placed", enqueued=0.0)
    assert found == {
        "specversion": "1.0",
        "id": "i",
        "source": "/shop",
        "type": "orders.placed",
        "time": "1970-01-01T00:00:00Z",
    }


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"ce_id": "a", "Idempotency-Key": "b"}, "a"),
        ({"CE-ID": "a"}, "a"),
        ({"cloudEvents:id": "a"}, "a"),
        ({"idempotency-key": "b"}, "b"),
        ({"id": "c"}, "broker's"),
        ({"ce_id": ""}, "broker's"),
    ],
)
def test_a_received_message_has_its_own_id_or_the_brokers(headers: dict[str, str], expected: str) -> None:
    assert received_id(headers, "broker's") == expected
    assert received_id({}, None) is None


def test_events_of_two_sources_with_one_id_are_two_messages() -> None:
    ids = {deduplication_id({"ce_id": "1", "ce_source": source}, None) for source in ("/shop", "/stock", "")}
    assert len(ids) == 3
    assert deduplication_id({"CE_ID": "1", "CE_Source": "/shop"}, "a") == deduplication_id(
        {"ce-id": "1", "ce-source": "/shop"}, "b"
    )
    assert deduplication_id({"idempotency-key": "1", "ce_source": "/shop"}, None) == "1"
    assert deduplication_id({}, None) is None


def test_ids_that_differ_at_their_end_are_two_messages() -> None:
    long = "i" * 10_000
    assert deduplication_id({"ce_id": f"{long}a"}, None) != deduplication_id({"ce_id": f"{long}b"}, None)
    assert deduplication_id({}, f"{long}a") != deduplication_id({}, f"{long}b")


def share(all_partitions: str, owned: str, free: str, consumers: int) -> tuple[str, str]:
    found = partition_share(
        all_partitions=list(all_partitions), owned=list(owned), free=list(free), consumers=consumers
    )
    assert isinstance(found, PartitionShare)
    return "".join(found.take), "".join(found.release)


def test_partitions_are_shared_evenly() -> None:
    assert share("abcd", "", "abcd", 1) == ("abcd", "")
    assert share("abcd", "abcd", "", 2) == ("", "cd")
    assert share("abcd", "", "cd", 2) == ("cd", "")
    assert share("abcde", "abc", "", 2) == ("", "")
    assert share("ab", "", "", 3) == ("", "")
    assert share("ab", "abc", "", 1) == ("", "c")
    assert share("", "", "", 0) == ("", "")


def test_pauses_grow_to_a_minute() -> None:
    assert [outage_pause(number) for number in (1, 2, 3, 7, 100)] == [1.0, 2.0, 4.0, 60.0, 60.0]


def test_a_broker_is_tested_after_a_pause_as_long_as_its_outage_so_far() -> None:
    assert [pause_until_test(seconds) for seconds in (0, 0.5, 3, 10, 86_400)] == [1.0, 1.0, 3.0, 10.0, 10.0]


def test_secrets_are_hidden_the_longest_first() -> None:
    assert hide_secrets("a abc", ("a", "abc")) == "*** ***"
