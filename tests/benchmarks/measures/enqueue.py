"""How fast jobs are enqueued: one a commit, and thousands at once."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from ..jobs import noop
from .place import Figures, Place

MANY_TIMES = 3
"""The fastest of so many counts: the first opens connections and grows files."""


def engine_one(place: Place) -> Figures:
    """Enqueue one at a time in autocommit: a web request that has no other write."""
    place.empty_engine()
    noop.enqueue(0)
    return _rate(place.sizes.enqueue, lambda: [noop.enqueue(x) for x in range(place.sizes.enqueue)])


def limit_one(place: Place) -> Figures:
    with place.limit() as limit:
        limit.insert('{"x": 0}')
        texts = _texts(place.sizes.enqueue)
        return _rate(place.sizes.enqueue, lambda: [limit.insert(text) for text in texts])


def engine_many(place: Place) -> Figures:
    place.empty_engine()
    arguments = [{"x": x} for x in range(place.sizes.bulk)]
    return _best(place.sizes.bulk, lambda: noop.enqueue_many(arguments))


def limit_many(place: Place) -> Figures:
    with place.limit() as limit:
        return _best(place.sizes.bulk, lambda: limit.insert_many(_texts(place.sizes.bulk)))


def _texts(number: int) -> list[str]:
    return [json.dumps({"x": x}) for x in range(number)]


def _best(number: int, work: Callable[[], object]) -> Figures:
    return max(
        (_rate(number, work) for _ in range(MANY_TIMES)), key=lambda figures: figures["jobs_per_second"]
    )


def _rate(number: int, work: Callable[[], object]) -> Figures:
    began = time.monotonic()
    work()
    return {"jobs_per_second": number / (time.monotonic() - began)}
