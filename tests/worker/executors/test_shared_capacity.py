"""Slots that executors of several databases share: in the order of requests, and more while a server is frozen."""

from __future__ import annotations

from functools import partial
from itertools import chain, count
from queue import SimpleQueue
from string import ascii_lowercase
from typing import Any

import pytest

from django_jobs.worker.executors.shared_capacity import SharedCapacity
from tests.concurrency import DEADLINE_SECONDS, Background

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


class Slots(SharedCapacity[str]):
    """Slots named "a", "b" to "z" and then by number, as they are created; ``retired``: those that have ended."""

    def __init__(self, capacity: int) -> None:
        self.retired: list[str] = []
        names = chain(ascii_lowercase, map(str, count()))
        super().__init__(capacity, lambda: next(names), self.retired.append)


def test_a_free_slot_is_granted_at_once_and_a_busy_one_to_whoever_asked_first() -> None:
    shared, granted = Slots(2), list[str]()
    for name in ("first", "second", "third", "fourth"):
        shared.request("eu", lambda given, name=name: granted.append(f"{name} {given}"))
    assert granted == ["first a", "second b"]

    shared.release("eu", "b")
    shared.release("eu", "a")
    assert granted[2:] == ["third b", "fourth a"]


def test_a_request_that_was_withdrawn_gets_none() -> None:
    shared, early, late = Slots(1), list[str](), list[str]()
    shared.request("eu", early.append)
    shared.request("eu", late.append)

    assert shared.withdraw("eu", late.append)
    assert not shared.withdraw("eu", early.append)
    shared.release("eu", "a")
    assert (early, late) == (["a"], [])


def test_all_members_hear_of_a_slot_that_nobody_waits_for() -> None:
    shared, members = Slots(1), {"eu": Member("eu"), "us": Member("us")}
    for database, member in members.items():
        shared.join(database, member)
    granted: list[str] = []
    shared.request("eu", granted.append)
    shared.request("us", granted.append)

    shared.release("eu", "a")
    assert [member.freed for member in members.values()] == [0, 0]
    shared.release("us", "a")
    assert [member.freed for member in members.values()] == [1, 1]
    assert shared.running() == ["eu", "us"]


def test_the_slots_of_a_database_that_is_overdue_are_those_of_the_others_meanwhile() -> None:
    shared, eu, us = Slots(2), list[str](), list[str]()
    members = {"eu": Member("eu"), "us": Member("us")}
    for database, member in members.items():
        shared.join(database, member)
    for _ in range(3):
        shared.request("eu", eu.append)
        shared.request("us", us.append)
    assert (eu, us) == (["a"], ["b"])

    assert shared.set_overdue("eu", is_overdue=True)
    assert not shared.set_overdue("eu", is_overdue=True)
    assert (eu, us) == (["a"], ["b", "c"])
    assert shared.running() == ["us"]
    shared.release("us", "b")
    assert (eu, us) == (["a"], ["b", "c", "b"])
    assert [member.freed for member in members.values()] == [0, 0]

    assert shared.set_overdue("eu", is_overdue=False)
    shared.release("us", "c")
    assert (eu, us, shared.retired) == (["a"], ["b", "c", "b"], ["c"])  # two runs go on, as many as the capacity
    assert sorted(shared.grants) == ["a", "b"]
    shared.release("eu", "a")
    assert (eu, shared.retired) == (["a", "a"], ["c"])


def test_members_hear_of_slots_that_become_free_because_a_database_is_overdue() -> None:
    shared, us, granted = Slots(1), Member(), list[str]()
    shared.join("us", us)
    shared.request("eu", granted.append)

    shared.set_overdue("eu", is_overdue=True)
    assert us.freed == 1
    shared.request("us", granted.append)
    assert granted == ["a", "b"]


def test_slots_that_were_lent_are_handed_out_and_ended_once_while_threads_take_and_release_them() -> None:
    shared = Slots(3)
    owners: dict[str, object] = {}

    def take_and_release(database: str) -> None:
        for _ in range(300):
            granted: SimpleQueue[str] = SimpleQueue()
            shared.request(database, granted.put)
            taken = granted.get(timeout=DEADLINE_SECONDS)
            assert owners.setdefault(taken, granted) is granted
            del owners[taken]
            shared.release(database, taken)

    threads = [Background(partial(take_and_release, database)) for database in ("eu", "us") * 4]
    for number in range(300):
        shared.set_overdue("eu", is_overdue=number % 2 == 0)
    for thread in threads:
        thread.result()
    assert len(shared.grants) == len(set(shared.grants)) == 3
    assert not set(shared.grants) & set(shared.retired)
