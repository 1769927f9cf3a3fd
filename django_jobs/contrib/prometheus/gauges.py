"""The gauges of the database: for Prometheus as a collector, for others as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from ...conf import get_settings
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

Samples = list[tuple[tuple[str, ...], float]]
"""Values of the labels, and the number."""


class GaugeCollector:
    """A collector of prometheus-client over one read, by alias; None: the database did not answer."""

    def __init__(self, gauges: Mapping[str, Gauges | None]) -> None:
        self._gauges = gauges

    def describe(self) -> list[Any]:
        """Return nothing: the registry holds nothing else of these names."""
        return []

    def collect(self) -> Iterator[Any]:
        """Yield the metrics; a database that did not answer has ``django_jobs_database_up`` only."""
        yield self._family(DATABASE_UP, lambda gauges: [((), int(gauges is not None))])
        if any(gauges is not None for gauges in self._gauges.values()):
            for metric, samples in SAMPLES:
                yield self._family(metric, partial(_of_answer, samples))

    def _family(self, metric: MetricName, samples: Callable[[Gauges | None], Samples]) -> Any:
        has_many = get_settings().has_many_databases
        shown = metric.of_each_database if has_many else metric
        families = import_client("prometheus_client.core")
        family = families.GaugeMetricFamily(shown.name, shown.help, labels=shown.labels)
        for alias, gauges in self._gauges.items():
            for labels, value in samples(gauges):
                family.add_metric((alias, *labels) if has_many else labels, value)
        return family


def _of_answer(samples: Callable[[Gauges], Samples], gauges: Gauges | None) -> Samples:
    return [] if gauges is None else samples(gauges)


def _numbers(queue: QueueGauges) -> dict[str, int]:
    return {State.READY.value: queue.ready, State.RUNNING.value: queue.running, State.SCHEDULED.value: queue.scheduled}


SAMPLES: tuple[tuple[MetricName, Callable[[Gauges], Samples]], ...] = (
    (JOBS, lambda found: [((q.name, state), n) for q in found.queues for state, n in _numbers(q).items()]),
    (OLDEST_READY, lambda found: [((q.name,), q.oldest_ready_seconds) for q in found.queues]),
    (PAUSED, lambda found: [((q.name,), int(q.is_paused)) for q in found.queues]),
    (DEAD_LETTERS, lambda found: [((q.name,), q.dead_letters) for q in found.queues]),
    (WORKERS, lambda found: [((), found.workers)]),
    (THREADS, lambda found: [(("busy",), found.busy), (("idle",), found.idle)]),
    (QUEUES_LEFT_OUT, lambda found: [((), found.queues_left_out)]),
)
"""The gauges of one database, in the order of the page."""


def render_gauges(gauges: Mapping[str, Gauges | None]) -> tuple[bytes, str]:
    """Return the gauges in Prometheus's text format, and its content type."""
    client = import_client()
    registry = client.CollectorRegistry()
    registry.register(GaugeCollector(gauges))
    return client.generate_latest(registry), client.CONTENT_TYPE_LATEST


def gauges_as_json(gauges: Mapping[str, Gauges | None]) -> dict[str, Any]:
    """Return all gauges; of several databases, by alias, with None for one that did not answer."""
    if not get_settings().has_many_databases:
        return _database_as_json(_only(gauges))
    return {"databases": {alias: found and _database_as_json(found) for alias, found in gauges.items()}}


def _database_as_json(gauges: Gauges) -> dict[str, Any]:
    """Return the gauges of one database; ``queues`` by name."""
    return {
        "workers": gauges.workers,
        "slots": {"busy": gauges.busy, "idle": gauges.idle},
        "queues_left_out": gauges.queues_left_out,
        "queues": {queue.name: _queue_as_json(queue) for queue in gauges.queues},
    }


def queue_as_json(name: str, gauges: Mapping[str, Gauges | None]) -> dict[str, Any]:
    """Return the gauges of one queue, read by its name; of several databases, also of all that answered together."""
    if not get_settings().has_many_databases:
        return {"queue": name, **_queue_as_json(_only(gauges).queues[0])}
    queues = {alias: found and found.queues[0] for alias, found in gauges.items()}
    together = _together(name, [queue for queue in queues.values() if queue is not None])
    by_alias = {alias: queue and _queue_as_json(queue) for alias, queue in queues.items()}
    return {"queue": name, **_queue_as_json(together), "databases": by_alias}


def _together(name: str, queues: list[QueueGauges]) -> QueueGauges:
    """Return the sums of a queue in several databases. It is paused if it is in each."""
    return QueueGauges(
        name,
        ready=sum(queue.ready for queue in queues),
        running=sum(queue.running for queue in queues),
        scheduled=sum(queue.scheduled for queue in queues),
        oldest_ready_seconds=max((queue.oldest_ready_seconds for queue in queues), default=0.0),
        is_paused=bool(queues) and all(queue.is_paused for queue in queues),
        dead_letters=sum(queue.dead_letters for queue in queues),
    )


def _queue_as_json(queue: QueueGauges) -> dict[str, Any]:
    """Return the gauges of one queue. ``ready_or_running`` is the work at hand, by which workers are scaled."""
    return {
        **_numbers(queue),
        "ready_or_running": queue.ready + queue.running,
        "oldest_ready_seconds": queue.oldest_ready_seconds,
        "paused": queue.is_paused,
        "dead_letters_open": queue.dead_letters,
    }


def _only(gauges: Mapping[str, Gauges | None]) -> Gauges:
    """Return the gauges of the only database, whose error would have been raised."""
    [found] = gauges.values()
    if found is None:
        raise TypeError("expected gauges, got None")
    return found
