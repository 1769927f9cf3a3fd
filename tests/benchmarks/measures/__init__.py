"""The measures: each returns figures of the engine, and where there is a limit, the same figures of the limit.

Figures are a flat dict of numbers, or lists of numbers, by name; the unit is part of the name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from ..names import DRAINS, FEATURES
from . import drain, enqueue, graphs, idle, latency, pages, queues, schedules
from .place import Figures, Place

__all__ = ["TAKEN", "Figures", "Place", "Taken"]

Taken = tuple[Callable[[Place], Figures], Callable[[Place], Figures] | None]
"""What measures the engine, and what measures the limit."""

TAKEN: Mapping[str, Taken] = {
    "enqueue": (enqueue.engine_one, enqueue.limit_one),
    "unique": (enqueue.engine_unique, None),
    "unique_again": (enqueue.engine_unique_again, None),
    "idempotent": (enqueue.engine_idempotent, None),
    "enqueue_many": (enqueue.engine_many, enqueue.limit_many),
    "enqueue_stream": (enqueue.engine_stream, None),
    **{name: (partial(drain.engine, name), partial(drain.limit, name)) for name in DRAINS},
    **{name: (partial(drain.engine, name), partial(drain.engine, "drain")) for name in FEATURES},
    "queues": (queues.engine, None),
    "chain": (graphs.engine_chain, None),
    "graph": (graphs.engine_graph, None),
    "latency": (latency.engine, latency.limit),
    "latency_quiet": (latency.engine_quiet, latency.limit_quiet),
    "schedules": (schedules.engine_many, None),
    "on_time": (schedules.engine_on_time, None),
    "pages": (pages.engine, None),
    "idle": (idle.engine, None),
}
