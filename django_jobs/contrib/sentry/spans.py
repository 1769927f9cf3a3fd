"""Spans of enqueues and runs, as Sentry's queue monitoring reads them, in both ways in which the SDK sends spans.

::

    the caller's transaction      queue.task.django_jobs   (transaction, named as the job)
      └ queue.publish               └ queue.process        messaging.message.receive.latency ...

With ``trace_lifecycle="stream"`` the SDK sends each span by itself, and has other functions for it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import sentry_sdk

from ...context import JobContext
from ...hooks import Insertion

PUBLISH, PROCESS, TASK = "queue.publish", "queue.process", "queue.task.django_jobs"
ORIGIN = "auto.queue.django_jobs"
SYSTEM = "django_jobs"

_Data = dict[str, Any]


@contextmanager
def publish_span(insertion: Insertion) -> Iterator[None]:
    """Make the span of an enqueue, where a transaction is active."""
    queue_names = insertion.queue_names
    data: _Data = {"messaging.system": SYSTEM}
    if len(queue_names) == 1:
        data["messaging.destination.name"] = queue_names[0]
    job_names = {definition.name for definition in insertion.definitions}
    span = _start_span(PUBLISH, name=job_names.pop() if len(job_names) == 1 else "jobs", data=data)
    is_failure = True
    try:
        yield
        is_failure = False
    finally:
        if (message_id := insertion.public_id) is not None:
            _set(span, {"messaging.message.id": str(message_id)})
        elif insertion.count is not None:
            _set(span, {"messaging.batch.message_count": insertion.count})
        _end(span, is_failure=is_failure)


class RunSpan:
    """The transaction of a run, with the span ``queue.process``; begun at once.

    ``headers``: the trace of the enqueue, which the run goes on with.
    """

    def __init__(self, context: JobContext, headers: Mapping[str, str]) -> None:
        data: _Data = {
            "messaging.system": SYSTEM,
            "messaging.destination.name": context.queue_name,
            "messaging.message.id": str(context.public_id),
            "messaging.message.retry.count": context.attempt - 1,
            "messaging.message.receive.latency": max(time.time() - context.ready, 0) * 1000,
        }
        if context.chunk:
            data["messaging.batch.message_count"] = len(context.chunk)
        sampling = {"django_jobs": {"name": context.name, "queue_name": context.queue_name, "attempt": context.attempt}}
        self._transaction = _start_transaction(context.name, headers, sampling)
        self._span = _start_span(PROCESS, name=context.name, data=data)

    def end(self, *, is_failure: bool) -> None:
        """End both."""
        _end(self._span, is_failure=is_failure)
        _end(self._transaction, is_failure=is_failure)


def _start_transaction(name: str, headers: Mapping[str, str], sampling: dict[str, Any]) -> Any:
    if not _is_streaming():
        transaction = sentry_sdk.continue_trace(dict(headers), op=TASK, name=name, source="task", origin=ORIGIN)
        started: Any = sentry_sdk.start_transaction(transaction, custom_sampling_context=sampling)
        return started.__enter__()
    from sentry_sdk import traces

    traces.continue_trace(dict(headers))
    sentry_sdk.Scope.set_custom_sampling_context(sampling)
    attributes: Any = {"sentry.op": TASK, "sentry.origin": ORIGIN, "sentry.segment.name.source": "task"}
    return traces.start_span(name, attributes=attributes, parent_span=None).__enter__()


def _start_span(op: str, *, name: str, data: _Data) -> Any:
    if not _is_streaming():
        span: Any = sentry_sdk.start_span(op=op, name=name, origin=ORIGIN)
        _set(span, data)
        return span.__enter__()
    from sentry_sdk import traces

    return traces.start_span(name, attributes={"sentry.op": op, "sentry.origin": ORIGIN, **data}).__enter__()


def _set(span: Any, data: _Data) -> None:
    setter = span.set_attribute if hasattr(span, "set_attribute") else span.set_data
    for name, value in data.items():
        setter(name, value)


def _end(span: Any, *, is_failure: bool) -> None:
    """End a span; with its own status, because the SDK counts a snooze as an error."""
    if hasattr(span, "set_status"):
        span.set_status("internal_error" if is_failure else "ok")
    else:
        span.status = "error" if is_failure else "ok"
    span.__exit__(None, None, None)


def _is_streaming() -> bool:
    """Tell what SDKs have that know the option."""
    options = sentry_sdk.get_client().options
    chosen = options.get("trace_lifecycle") or (options.get("_experiments") or {}).get("trace_lifecycle")
    return bool(chosen == "stream")
