"""Traces and metrics of jobs by OpenTelemetry: ``DjangoJobsInstrumentor().instrument()``.

Needs the extra ``[opentelemetry]``, which has OpenTelemetry's API and no SDK: what becomes of the spans is configured
by the project, or by ``opentelemetry-instrument``, which finds the instrumentor by its entry point.
docs/how-to/tracing.md has the whole way.
"""

try:
    import opentelemetry.instrumentation.instrumentor  # noqa: F401 - the answer is in the error
except ImportError as missing:
    raise ImportError(
        "django_jobs.contrib.opentelemetry: expected OpenTelemetry's API and its package for instrumentations; install"
        " django-jobs-engine[opentelemetry]"
    ) from missing

from .instrumentor import DjangoJobsInstrumentor

__all__ = ["DjangoJobsInstrumentor"]
