"""Decide which database gets the next of the slots that several share.

A run that waits for a frozen server cannot be ended, and holds its slot. So the slots of a database whose heartbeat is
overdue do not count: the others have as many as if it ran nothing, and it gets no more until it answers. With a
capacity of C and D databases at most C x D runs go on at once, if all but one have frozen one after the other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping


def free_slots(held: Mapping[str, int], *, overdue: Collection[str], capacity: int) -> int:
    """Return how many more runs may start. ``held``: how many slots each database has."""
    return max(capacity - sum(number for database, number in held.items() if database not in overdue), 0)


def next_request(
    requests: Iterable[str], *, held: Mapping[str, int], overdue: Collection[str], capacity: int
) -> int | None:
    """Return the position of the request that gets a slot now; None if all have to wait.

    ``requests``: the database of each, in the order in which they came.
    """
    if not free_slots(held, overdue=overdue, capacity=capacity):
        return None
    return next((position for position, database in enumerate(requests) if database not in overdue), None)
