"""``DjangoJobsInstrumentor``: switch traces and metrics on and off, by code or by ``opentelemetry-instrument``.

It is imported before Django is set up, and so needs no settings.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]  # untyped

from ...hooks import add_hook, remove_hook
from ...signals import worker_stopping
from . import names
from .hook import TracingHook
from .instruments import Instruments

AS_CHILD_VARIABLE = "OTEL_PYTHON_DJANGO_JOBS_PROCESS_AS_CHILD"
FLUSH_MILLISECONDS = 1_500
"""Below the two seconds that a process waits for all receivers of ``worker_stopping``."""


class DjangoJobsInstrumentor(BaseInstrumentor):  # type: ignore[misc]  # untyped
    """Traces enqueues and runs. ``instrument()`` has to be called in each process, before its worker starts.

    ``instrument(tracer_provider=None, meter_provider=None, process_as_child=None)``: the global providers are used if
    none are given. ``process_as_child``: a run's span is a child of its enqueue's, in the same trace, instead of a
    trace of its own with a link; None reads the variable OTEL_PYTHON_DJANGO_JOBS_PROCESS_AS_CHILD.
    """

    _hook: TracingHook | None = None
    _providers: tuple[Any, ...] = ()

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return nothing: the instrumentor is a part of what it instruments."""
        return ()

    def _instrument(
        self,
        *,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
        process_as_child: bool | None = None,
        **_: Any,
    ) -> None:
        tracer = trace.get_tracer(names.SCOPE, tracer_provider=tracer_provider, schema_url=names.SCHEMA_URL)
        meter = metrics.get_meter(names.SCOPE, meter_provider=meter_provider, schema_url=names.SCHEMA_URL)
        as_child = _as_child_by_environment() if process_as_child is None else process_as_child
        self._providers = (tracer_provider, meter_provider)
        self._hook = TracingHook(tracer, Instruments(meter), process_as_child=as_child)
        add_hook(self._hook)
        worker_stopping.connect(self._flush, dispatch_uid=names.SCOPE)

    def _uninstrument(self, **_: Any) -> None:
        worker_stopping.disconnect(dispatch_uid=names.SCOPE)
        remove_hook(self._hook)
        self._hook, self._providers = None, ()

    def _flush(self, **_: Any) -> None:
        """Have the SDK send what it holds back: job processes end without exit handlers."""
        tracer_provider, meter_provider = self._providers
        for provider in (
            tracer_provider or trace.get_tracer_provider(),
            meter_provider or metrics.get_meter_provider(),
        ):
            flush = getattr(provider, "force_flush", None)  # the API's own providers have none
            if flush is not None:
                flush(FLUSH_MILLISECONDS // 2)


def _as_child_by_environment() -> bool:
    return os.environ.get(AS_CHILD_VARIABLE, "").strip().lower() in ("1", "true", "yes")
