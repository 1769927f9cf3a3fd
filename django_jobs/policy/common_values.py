"""Count the values of arguments that many failed jobs share: evidence of what breaks them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

MAX_VALUES = 5
MAX_NAMES = 20
MAX_VALUE_CHARS = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonValues:
    """The commonest values of one argument as (JSON text, number of jobs), and how many different ones there are."""

    name: str
    values: list[tuple[str, int]]
    different: int
    number: int


def common_values(samples: Iterable[Mapping[str, Any]]) -> list[CommonValues]:
    """Return the commonest values of each argument; none of an argument whose values are all different.

    The first names of the first sample come first; long values are cut.
    """
    counters: dict[str, Counter[str]] = {}
    for arguments in samples:
        for name, value in arguments.items():
            counters.setdefault(name, Counter())[_text(value)] += 1
    return [_summary(name, counter) for name, counter in list(counters.items())[:MAX_NAMES]]


def _summary(name: str, counter: Counter[str]) -> CommonValues:
    number = counter.total()
    shared = [(text, count) for text, count in counter.most_common(MAX_VALUES) if count > 1 or number == 1]
    return CommonValues(name=name, values=shared, different=len(counter), number=number)


def _text(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= MAX_VALUE_CHARS else text[: MAX_VALUE_CHARS - 1] + "…"
