"""Capacity that executors of several databases share is handed on in the order in which it was asked for."""

from __future__ import annotations

from typing import Any

import pytest

from django_jobs.worker.executors.shared_capacity import SharedCapacity

pytestmark = pytest.mark.one_version


class Member:
    """An executor that runs nothing, and counts how often a slot was free for anybody."""

    def __init__(self, *running: Any) -> None:
        self.freed = 0
        self._running = list(running)

    def running(self) -> list[Any]:
        return self._running

    def capacity_freed(self) -> None:
        self.freed += 1


def test_a_free_slot_is_granted_at_once_and_a_busy_one_to_whoever_asked_first() -> None:
    shared, granted = SharedCapacity("ab"), list[str]()
    for name in ("first", "second", "third", "fourth"):
        shared.request(lambda given, name=name: granted.append(f"{name} {given}"))
    assert granted == ["first a", "second b"]

    shared.release("b")
    shared.release("a")
    assert granted[2:] == ["third b", "fourth a"]


def test_a_request_that_was_withdrawn_gets_none() -> None:
    shared, early, late = SharedCapacity("a"), list[str](), list[str]()
    shared.request(early.append)
    shared.request(late.append)

    assert shared.withdraw(late.append)
    assert not shared.withdraw(early.append)
    shared.release("a")
    assert (early, late) == (["a"], [])


def test_all_members_hear_of_a_slot_that_nobody_waits_for() -> None:
    shared, members = SharedCapacity("a"), [Member("eu"), Member("us")]
    for member in members:
        shared.join(member)
    granted: list[str] = []
    shared.request(granted.append)
    shared.request(granted.append)

    shared.release("a")
    assert [member.freed for member in members] == [0, 0]
    shared.release("a")
    assert [member.freed for member in members] == [1, 1]
    assert shared.running() == ["eu", "us"]
