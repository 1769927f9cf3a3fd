"""Every name that a trace or a metric has: spans, attributes, instruments.

The semantic conventions for messaging are in development, and names in them still change. They are copied here, so that
neither an update of OpenTelemetry nor a missing package changes what a project's dashboards read. Version 1.41.
https://opentelemetry.io/docs/specs/semconv/messaging/
"""

from __future__ import annotations

SCOPE = "django_jobs.contrib.opentelemetry"
"""The instrumentation scope of all spans and instruments."""
SCHEMA_URL = "https://opentelemetry.io/schemas/1.41.0"
CARRIER = "opentelemetry"
"""The key in a job's metadata under which the context of its enqueue travels."""

SYSTEM = "messaging.system"
SYSTEM_NAME = "django_jobs"
OPERATION_NAME = "messaging.operation.name"
OPERATION_TYPE = "messaging.operation.type"
DESTINATION = "messaging.destination.name"
MESSAGE_ID = "messaging.message.id"
BATCH_COUNT = "messaging.batch.message_count"
ERROR_TYPE = "error.type"

JOB_NAME = "django_jobs.job.name"
ATTEMPT = "django_jobs.job.attempt"
MAX_ATTEMPTS = "django_jobs.job.max_attempts"
END = "django_jobs.run.end"
"""succeeded, snoozed, cancelled, retried or dead."""

ENQUEUE, SEND = "enqueue", "send"
"""The operation that inserts jobs, and its type."""
PROCESS = "process"
"""The operation that runs a job, and its type."""

SENT_MESSAGES = "messaging.client.sent.messages"
CONSUMED_MESSAGES = "messaging.client.consumed.messages"
OPERATION_DURATION = "messaging.client.operation.duration"
PROCESS_DURATION = "messaging.process.duration"
DURATION_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
"""The boundaries in seconds that the conventions recommend."""


def span_name(operation: str, queue_names: list[str]) -> str:
    """Return the name of a span: ``enqueue mails``; without a queue if there are several."""
    return f"{operation} {queue_names[0]}" if len(queue_names) == 1 else operation
