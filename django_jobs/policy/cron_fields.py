"""Say which field of a cron expression is wrong, and which values it may have."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

FIELDS = (
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day of month", 1, 31),
    ("month", 1, 12),
    ("day of week", 0, 7),
    ("second", 0, 59),
)
"""Name, lowest and highest value of each field, in the order of an expression."""
_BASE = re.compile(r"^[^/#]*")
_NUMBER = re.compile(r"\d+")


def find_wrong_field(fields: Sequence[str], *, is_valid: Callable[[list[str]], bool]) -> str:
    """Return a sentence about the first field that no expression may have; empty if each is valid by itself.

    ``is_valid`` tells whether an expression of so many fields can be read.
    """
    for index, (name, lowest, highest) in enumerate(FIELDS[: len(fields)]):
        alone = ["*"] * len(fields)
        alone[index] = fields[index]
        if not is_valid(alone):
            parts = (*fields[index].split(","), fields[index])
            part = next(part for part in parts if not is_valid([*alone[:index], part, *alone[index + 1 :]]))
            return f"{name}: {_wrong_value(part, lowest, highest)} is not {lowest}-{highest}"
    return ""


def _wrong_value(part: str, lowest: int, highest: int) -> str:
    """Return the number of a part that is out of range, or else the part."""
    base = _BASE.match(part)
    numbers = _NUMBER.findall(base[0] if base else "")
    return next((number for number in numbers if not lowest <= int(number) <= highest), repr(part))
