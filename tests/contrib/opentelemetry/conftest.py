"""The instrumentor, switched on for a test with an SDK that keeps what it is given."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from django_jobs.contrib.opentelemetry import DjangoJobsInstrumentor


class Telemetry:
    """The spans that have ended, and the points of metrics."""

    def __init__(self) -> None:
        self.tracer_provider = TracerProvider(shutdown_on_exit=False)
        self._exporter = InMemorySpanExporter()
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self._reader = InMemoryMetricReader()
        self.meter_provider = MeterProvider([self._reader], shutdown_on_exit=False)

    def instrument(self, **options: Any) -> None:
        DjangoJobsInstrumentor().instrument(
            tracer_provider=self.tracer_provider, meter_provider=self.meter_provider, **options
        )

    @property
    def spans(self) -> list[ReadableSpan]:
        """Of any kind, in the order of their ends."""
        return list(self._exporter.get_finished_spans())

    @property
    def producers(self) -> list[ReadableSpan]:
        return [span for span in self.spans if span.kind is SpanKind.PRODUCER]

    @property
    def consumers(self) -> list[ReadableSpan]:
        return [span for span in self.spans if span.kind is SpanKind.CONSUMER]

    def points(self, name: str) -> list[Any]:
        """Return the points of a metric, one for each set of attributes."""
        data = self._reader.get_metrics_data()
        scopes = [scope for resource in (data.resource_metrics if data else ()) for scope in resource.scope_metrics]
        return [
            point
            for scope in scopes
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    """An SDK; the instrumentor is switched off at the end, if the test has switched it on."""
    telemetry = Telemetry()
    yield telemetry
    if DjangoJobsInstrumentor().is_instrumented_by_opentelemetry:
        DjangoJobsInstrumentor().uninstrument()
    telemetry.tracer_provider.shutdown()
    telemetry.meter_provider.shutdown()


@pytest.fixture
def traced(telemetry: Telemetry) -> Telemetry:
    """The same, switched on."""
    telemetry.instrument()
    return telemetry
