"""The measures: each returns figures of the engine, and where there is a limit, the same figures of the limit.

Figures are a flat dict of numbers, or lists of numbers, by name; the unit is part of the name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from ..names import DRAINS, FEATURES
from . import (
    connections,
    drain,
    enqueue,
    fleet,
    graphs,
    idle,
    idle_fleet,
    job_cost,
    latency,
    memory,
    messages,
    pages,
    pruning,
    queues,
    schedules,
    soak,
    start,
)
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
    "drain_two_processes": (drain.engine_two, drain.limit_two),
    **{name: (partial(drain.engine, name), partial(drain.engine, "drain")) for name in FEATURES},
    "pruning": (pruning.engine, pruning.limit),
    "fleet": (fleet.engine, None),
    "idle_fleet": (idle_fleet.engine, None),
    "job_cost": (job_cost.engine, None),
    "soak": (soak.engine, None),
    "queues": (queues.engine, None),
    "chain": (graphs.engine_chain, None),
    "graph": (graphs.engine_graph, None),
    "latency": (latency.engine, latency.limit),
    "latency_quiet": (latency.engine_quiet, latency.limit_quiet),
    "latency_redis": (latency.engine_redis, latency.engine_quiet),
    "schedules": (schedules.engine_many, None),
    "on_time": (schedules.engine_on_time, None),
    "publish": (messages.engine_publish, None),
    "consume_log": (messages.engine_consume_log, None),
    "consume_queue": (messages.engine_consume_queue, None),
    "pages": (pages.engine, None),
    "idle": (idle.engine, idle.limit),
    "connections": (connections.engine, None),
    "memory": (memory.engine, memory.limit),
    "start": (start.engine, start.limit),
}
