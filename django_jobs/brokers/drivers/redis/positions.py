"""Ids of a stream's entries, ``milliseconds-number``, as positions."""

from __future__ import annotations

MAX_NUMBER = 2**64 - 1
FIRST = "0-1"
"""The lowest id that an entry can have."""


def milliseconds(position: str) -> int:
    """Return the time of an id."""
    return order_of(position)[0]


def behind(position: str) -> str:
    """Return the next possible id."""
    time, number = order_of(position)
    return f"{time + 1}-0" if number == MAX_NUMBER else f"{time}-{number + 1}"


def before(position: str) -> str:
    """Return the id after which ``XREAD`` reads from ``position`` on."""
    time, number = order_of(position)
    if number:
        return f"{time}-{number - 1}"
    return f"{time - 1}-{MAX_NUMBER}" if time else "0-0"


def order_of(position: str) -> tuple[int, int]:
    """Return time and number, which are ordered as the entries are. Raises ValueError if it is no id."""
    time, _, number = position.partition("-")
    return int(time), int(number or 0)
