"""Bars of a small chart, drawn as SVG by a template."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

WIDTH, HEIGHT = 96, 24


def sparkline(numbers: Sequence[int], *, highest: int | None = None) -> dict[str, Any]:
    """Return a small chart, 96 by 24: a bar for each number above 0, all of them one path, and their sum.

    A page has hundreds: as an element for each bar they took most of its time. ``highest``: the number of a full bar.
    """
    highest = highest or max(numbers, default=0)
    width = WIDTH / max(len(numbers), 1)
    bars = []
    for place, number in enumerate(numbers):
        if number:
            height = max(round(number / highest * HEIGHT), 2)
            left, right = round(place * width, 1), round((place + 1) * width - 1, 1)
            bars.append(f"M{left} {HEIGHT}V{HEIGHT - height}H{right}V{HEIGHT}Z")
    return {"path": "".join(bars), "width": WIDTH, "height": HEIGHT, "total": sum(numbers)}
