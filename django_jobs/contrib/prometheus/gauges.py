"""The gauges of the database: for Prometheus as a collector, for others as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...policy.states import State
from ...store.stats.gauges import Gauges, QueueGauges
from .client import import_client
from .names import (
    DATABASE_UP,
    DEAD_LETTERS,
    JOBS,
    OLDEST_READY,
    PAUSED,
    QUEUES_LEFT_OUT,
    THREADS,
    WORKERS,
    MetricName,
)


class GaugeCollector:
    """A collector of prometheus-client over one read; None: the database did not answer."""

    def __init__(self, gauges: Gauges | None) -> None:
        self._gauges = gauges

    def describe(self) -> list[Any]:
        """Return nothing: the registry holds nothing else of these names."""
        return []

    def collect(self) -> Iterator[Any]:
        """Yield the metrics."""
        yield _family(DATABASE_UP, [((), int(self._gauges is not None))])
        if self._gauges is not None:
            yield from _families(self._gauges)


def _families(gauges: Gauges) -> Iterator[Any]:
    queues = gauges.queues
    yield _family(JOBS, [((q.name, state), number) for q in queues for state, number in _numbers(q).items()])
    yield _family(OLDEST_READY, [((q.name,), q.oldest_ready_seconds) for q in queues])
    yield _family(PAUSED, [((q.name,), int(q.is_paused)) for q in queues])
    yield _family(DEAD_LETTERS, [((q.name,), q.dead_letters) for q in queues])
    yield _family(WORKERS, [((), gauges.workers)])
    yield _family(THREADS, [(("busy",), gauges.busy), (("idle",), gauges.idle)])
    yield _family(QUEUES_LEFT_OUT, [((), gauges.queues_left_out)])


def _numbers(queue: QueueGauges) -> dict[str, int]:
    return {State.READY.value: queue.ready, State.RUNNING.value: queue.running, State.SCHEDULED.value: queue.scheduled}


def _family(metric: MetricName, samples: list[tuple[tuple[str, ...], float]]) -> Any:
    families = import_client("prometheus_client.core")
    family = families.GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
    for labels, value in samples:
        family.add_metric(labels, value)
    return family


def render_gauges(gauges: Gauges) -> tuple[bytes, str]:
    """Return the gauges in Prometheus's text format, and its content type."""
    client = import_client()
    registry = client.CollectorRegistry()
    registry.register(GaugeCollector(gauges))
    return client.generate_latest(registry), client.CONTENT_TYPE_LATEST


def gauges_as_json(gauges: Gauges) -> dict[str, Any]:
    """Return all gauges; ``queues`` by name."""
    return {
        "workers": gauges.workers,
        "slots": {"busy": gauges.busy, "idle": gauges.idle},
        "queues_left_out": gauges.queues_left_out,
        "queues": {queue.name: queue_as_json(queue) for queue in gauges.queues},
    }


def queue_as_json(queue: QueueGauges) -> dict[str, Any]:
    """Return the gauges of one queue. ``ready_or_running`` is the work at hand, by which workers are scaled."""
    return {
        **_numbers(queue),
        "ready_or_running": queue.ready + queue.running,
        "oldest_ready_seconds": queue.oldest_ready_seconds,
        "paused": queue.is_paused,
        "dead_letters_open": queue.dead_letters,
    }
