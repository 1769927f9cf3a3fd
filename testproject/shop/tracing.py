"""Traces of the shop: a line of JSON for each enqueue and each run, in the file that SHOP_TRACES names."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

from django_jobs.contrib.opentelemetry import DjangoJobsInstrumentor


def trace_to(path: Path) -> TextIO:
    """Append the spans of this process, and of those that it forks, to a file, which is returned.

    Without a thread, so that workers are forked.
    """
    file = path.open("a")
    exporter = ConsoleSpanExporter(out=file, formatter=lambda span: f"{span.to_json(indent=None)}\n")
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    DjangoJobsInstrumentor().instrument(tracer_provider=provider)
    return file
