"""What happens on a bad day, drawn from its seed alone: which jobs, which acts of staff, which faults, and when."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

ROUND_SECONDS = (0.05, 0.5)
LOADS_PER_ROUND = 4

LOADS = (
    "harmless", "harmless", "harmless", "killer", "rolled_back", "mended", "fleeting", "patient", "once",
    "results", "rated", "narrow", "ordered", "guarded", "limited_by_all", "capped", "unique", "debounced",
    "idempotent", "chord", "diamond", "doomed_graph", "batch", "growing_batch", "built_batch", "broken_batch",
)  # fmt: skip
"""Methods of ``load.Load``."""
STAFF = ("redrive", "cancel_jobs", "cancel_batch", "pause", "cap", "pause_schedule", "run_schedule", "run_now")
"""Methods of ``staff.Staff``."""
FAULTS = (
    ("kill_process", 3), ("kill_group", 2), ("freeze_process", 2), ("freeze_group", 2), ("replace", 2), ("cut", 3),
    ("stall", 1),
)  # fmt: skip
"""Methods of ``faults.Faults``, with their weights."""
RESTARTS = ("fast", "immediate", "crash")


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """Jobs are enqueued, staff do something, some time passes, something breaks. ``dice`` choose the victims."""

    loads: Sequence[str]
    staff: Sequence[str]
    seconds: float
    fault: str
    restart: str | None
    dice: int


def draw_plan(seed: int, *, seconds: float) -> list[Round]:
    """Return the rounds of a day of ``seconds``: each load and each act of staff comes before one comes again."""
    dice = random.Random(seed)
    number = max(int(seconds / (sum(ROUND_SECONDS) / 2)), 8)
    loads, staff = _deal(dice, LOADS), _deal(dice, STAFF)
    faults, weights = zip(*FAULTS, strict=True)
    restart_at = dice.randrange(number // 3, number)
    return [
        Round(
            loads=[next(loads) for _ in range(LOADS_PER_ROUND)],
            staff=[next(staff)] if dice.random() < 0.7 else [],
            seconds=dice.uniform(*ROUND_SECONDS),
            fault=dice.choices(faults, weights)[0],
            restart=dice.choice(RESTARTS) if at == restart_at else None,
            dice=dice.randrange(2**32),
        )
        for at in range(number)
    ]


def _deal(dice: random.Random, cards: Sequence[T]) -> Iterator[T]:
    """Yield all cards in random order, again and again."""
    while True:
        yield from dice.sample(cards, len(cards))
