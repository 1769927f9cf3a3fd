"""How fast jobs are enqueued: one a commit, and thousands at once."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable

from ..jobs import noop, unique_noop
from ..spent import Spent
from .place import Figures, Place

MANY_TIMES = 3
"""The fastest of so many counts: the first opens connections and grows files."""
TURNS = 20
"""Plain enqueues and those that are compared with them take turns, so that both meet the same machine."""


def engine_one(place: Place) -> Figures:
    """Enqueue one at a time in autocommit: a web request that has no other write."""
    place.empty_engine()
    noop.enqueue(0)
    with Spent(place.server) as spent:
        for x in range(place.sizes.enqueue):
            noop.enqueue(x)
    return spent.per_job(place.sizes.enqueue)


def limit_one(place: Place) -> Figures:
    """Insert one at a time in autocommit, without waking anybody."""
    with place.limit() as limit:
        limit.insert('{"x": 0}')
        with Spent(place.server) as spent:
            for x in range(place.sizes.enqueue):
                limit.insert(json.dumps({"x": x}))
        return spent.per_job(place.sizes.enqueue)


def engine_unique(place: Place) -> Figures:
    """Enqueue jobs that are unique by an argument, each for the first time."""
    return _beside_plain(place, unique_noop.enqueue)


def engine_unique_again(place: Place) -> Figures:
    """Enqueue unique jobs each of which waits already."""
    place.empty_engine()
    unique_noop.enqueue_many([(x,) for x in range(place.sizes.enqueue)])
    return _beside_plain(place, unique_noop.enqueue, is_empty=False)


def engine_idempotent(place: Place) -> Figures:
    """Enqueue jobs with an idempotency key, each for the first time."""
    return _beside_plain(place, lambda x: noop.using(idempotency_key=f"request-{x}").enqueue(x))


def engine_many(place: Place) -> Figures:
    place.empty_engine()
    arguments = [{"x": x} for x in range(place.sizes.bulk)]
    return _best(place.sizes.bulk, lambda: noop.enqueue_many(arguments))


def limit_many(place: Place) -> Figures:
    with place.limit() as limit:
        return _best(place.sizes.bulk, lambda: limit.insert_many(_texts(place.sizes.bulk)))


def _beside_plain(place: Place, enqueue: Callable[[int], object], *, is_empty: bool = True) -> Figures:
    if is_empty:
        place.empty_engine()
    noop.enqueue(0)
    enqueue(place.sizes.enqueue)
    seconds = {noop.enqueue: 0.0, enqueue: 0.0}
    for turn in range(TURNS):
        numbers = range(place.sizes.enqueue * turn // TURNS, place.sizes.enqueue * (turn + 1) // TURNS)
        for work in seconds if turn % 2 else reversed(seconds):
            began = time.monotonic()
            for x in numbers:
                work(x)
            seconds[work] += time.monotonic() - began
    return {
        "jobs_per_second": place.sizes.enqueue / seconds[enqueue],
        "to_plain": seconds[noop.enqueue] / seconds[enqueue],
    }


def engine_stream(place: Place) -> Figures:
    """Enqueue from an iterator in a process of its own, whose memory is told before and after."""
    place.empty_engine()
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.stream", str(place.sizes.bulk), str(place.sizes.stream)],
        capture_output=True,
        text=True,
        check=True,
    )
    figures: Figures = json.loads(done.stdout)
    return figures


def _texts(number: int) -> list[str]:
    return [json.dumps({"x": x}) for x in range(number)]


def _best(number: int, work: Callable[[], object]) -> Figures:
    return max((_rate(number, work) for _ in range(MANY_TIMES)), key=lambda figures: figures["jobs_per_second"])


def _rate(number: int, work: Callable[[], object]) -> Figures:
    began = time.monotonic()
    work()
    return {"jobs_per_second": number / (time.monotonic() - began)}
