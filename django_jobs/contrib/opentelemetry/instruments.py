"""The counters and histograms, and the attributes that they share with spans."""

from __future__ import annotations

from opentelemetry.metrics import Meter

from . import names

Attributes = dict[str, str | int]


class Instruments:
    """Counts and times enqueues and runs by queue; no job names or ids, of which there are too many."""

    def __init__(self, meter: Meter) -> None:
        self._sent = meter.create_counter(
            names.SENT_MESSAGES, unit="{message}", description="Jobs that this process has tried to enqueue."
        )
        self._consumed = meter.create_counter(
            names.CONSUMED_MESSAGES, unit="{message}", description="Runs of jobs that this process has begun."
        )
        self._enqueue_seconds = meter.create_histogram(
            names.OPERATION_DURATION,
            unit="s",
            description="Duration of enqueues.",
            explicit_bucket_boundaries_advisory=names.DURATION_BUCKETS,
        )
        self._process_seconds = meter.create_histogram(
            names.PROCESS_DURATION,
            unit="s",
            description="Duration of runs.",
            explicit_bucket_boundaries_advisory=names.DURATION_BUCKETS,
        )

    def enqueued(self, attributes: Attributes, *, count: int, seconds: float) -> None:
        """Record an enqueue."""
        self._sent.add(count, attributes)
        self._enqueue_seconds.record(seconds, attributes)

    def consumed(self, attributes: Attributes, *, count: int) -> None:
        """Record the begin of a run, of ``count`` jobs in a chunk."""
        self._consumed.add(count, attributes)

    def processed(self, attributes: Attributes, *, seconds: float) -> None:
        """Record the end of a run."""
        self._process_seconds.record(seconds, attributes)


def operation_attributes(operation: str, operation_type: str, queue_names: list[str]) -> Attributes:
    """Return the attributes that name an operation and its queue, if it has one."""
    attributes: Attributes = {
        names.SYSTEM: names.SYSTEM_NAME,
        names.OPERATION_NAME: operation,
        names.OPERATION_TYPE: operation_type,
    }
    if len(queue_names) == 1:
        attributes[names.DESTINATION] = queue_names[0]
    return attributes


def error_type(error: BaseException) -> str:
    """Return the class of an exception, as ``error.type`` has it."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
