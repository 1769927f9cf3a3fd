"""The hook: a PRODUCER span around each enqueue, a CONSUMER span around each run, and the context between them.

::

    enqueue mails (PRODUCER)            the web process
      └ metadata["opentelemetry"] = {"traceparent": ...}     in the job's row: it is there at every attempt
    process mails (CONSUMER)            the worker: a trace of its own with a link to the enqueue,
                                        or, with process_as_child, a child of the enqueue's span
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

from opentelemetry import propagate, trace
from opentelemetry.context import Context, attach, detach, get_current
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Status, StatusCode, Tracer

from ...context import JobContext
from ...hooks import Insertion, queue_of
from ...registry import DefinedJob
from ..run_ends import run_end
from . import names
from .instruments import Attributes, Instruments, error_type, operation_attributes

_is_enqueueing: ContextVar[bool] = ContextVar("django_jobs_opentelemetry_enqueueing", default=False)
"""True inside ``around_enqueue``: the current span is the one to carry."""


class TracingHook:
    """See the module. ``process_as_child``: runs are in the trace of their enqueue."""

    def __init__(self, tracer: Tracer, instruments: Instruments, *, process_as_child: bool) -> None:
        self._tracer = tracer
        self._instruments = instruments
        self._process_as_child = process_as_child

    @contextmanager
    def around_enqueue(self, insertion: Insertion) -> Iterator[None]:
        """Make the PRODUCER span of one enqueue, of however many jobs."""
        queue_names = insertion.queue_names
        attributes = operation_attributes(names.ENQUEUE, names.SEND, queue_names)
        span = self._producer_span(queue_names, attributes, [definition.name for definition in insertion.definitions])
        started, failure = time.perf_counter(), None
        token = _is_enqueueing.set(True)
        try:
            with trace.use_span(span, end_on_exit=False, record_exception=False, set_status_on_exception=False):
                yield
        except BaseException as error:
            failure = error
            raise
        finally:
            _is_enqueueing.reset(token)
            self._end_enqueue(span, insertion, attributes, failure, time.perf_counter() - started)

    def on_enqueue(self, definition: DefinedJob) -> Mapping[str, Any]:
        """Return the context of the enqueue for the job's metadata.

        Where no code calls ``enqueue``, of a tick, a copy or a callback of a batch, the PRODUCER span is made here.
        """
        carrier: dict[str, str] = {}
        if _is_enqueueing.get():
            propagate.inject(carrier)
        else:
            queue_names = [queue_of(definition)]
            attributes = operation_attributes(names.ENQUEUE, names.SEND, queue_names)
            span = self._producer_span(queue_names, attributes, [definition.name])
            propagate.inject(carrier, context=trace.set_span_in_context(span))
            span.end()
        return {names.CARRIER: carrier} if carrier else {}

    @contextmanager
    def around(self, context: JobContext) -> Iterator[None]:
        """Make the CONSUMER span of one run."""
        queue_names = [context.queue_name]
        attributes = operation_attributes(names.PROCESS, names.PROCESS, queue_names)
        count = len(context.chunk) or 1
        self._instruments.consumed(attributes, count=count)
        parent, links = self._origin(context)
        span = self._tracer.start_span(
            names.span_name(names.PROCESS, queue_names),
            context=parent,
            kind=SpanKind.CONSUMER,
            attributes={**attributes, **_attributes_of_run(context)},
            links=links,
        )
        started, failure = time.perf_counter(), None
        token = attach(trace.set_span_in_context(span, parent))
        try:
            yield
        except BaseException as error:
            failure = error
            raise
        finally:
            detach(token)
            self._end_run(span, context, attributes, failure, time.perf_counter() - started)

    def _producer_span(self, queue_names: list[str], attributes: Attributes, job_names: list[str]) -> Span:
        of_jobs = {names.JOB_NAME: job_names[0]} if len(set(job_names)) == 1 else {}
        return self._tracer.start_span(
            names.span_name(names.ENQUEUE, queue_names), kind=SpanKind.PRODUCER, attributes={**attributes, **of_jobs}
        )

    def _end_enqueue(
        self,
        span: Span,
        insertion: Insertion,
        attributes: Attributes,
        failure: BaseException | None,
        seconds: float,
    ) -> None:
        count, public_id = insertion.count, insertion.public_id
        new = sum(not job.is_duplicate for job in insertion.jobs) if insertion.jobs else count or 0
        if public_id is not None:
            span.set_attribute(names.MESSAGE_ID, str(public_id))
        elif count is not None and count != 1:
            span.set_attribute(names.BATCH_COUNT, count)
        if failure is not None:
            _fail(span, attributes, failure)
        span.end()
        self._instruments.enqueued(attributes, count=new, seconds=seconds)

    def _origin(self, context: JobContext) -> tuple[Context, list[Link]]:
        """Return the context in which a run's span begins, with the enqueue's baggage, and the span's links."""
        here = get_current()
        origin = propagate.extract(_carrier(context), context=here)
        if self._process_as_child and not context.chunk:
            return origin, []
        spans = [_enqueue_span(job) for job in ([item.context for item in context.chunk] or [context])]
        enqueues = {(span.trace_id, span.span_id): span for span in spans if span.is_valid}
        return trace.set_span_in_context(trace.get_current_span(here), origin), list(map(Link, enqueues.values()))

    def _end_run(
        self,
        span: Span,
        context: JobContext,
        attributes: Attributes,
        failure: BaseException | None,
        seconds: float,
    ) -> None:
        end = run_end(failure, context)
        span.set_attribute(names.END, end.value)
        if failure is not None and end.is_failure:
            _fail(span, attributes, failure)
        span.end()
        self._instruments.processed(attributes, seconds=seconds)


def _fail(span: Span, attributes: Attributes, error: BaseException) -> None:
    """Say in the span and in the attributes of metrics what has failed."""
    attributes[names.ERROR_TYPE] = error_type(error)
    span.set_attribute(names.ERROR_TYPE, error_type(error))
    with suppress(Exception):  # an exception's __str__ may raise anything, which must not take its place
        span.set_status(Status(StatusCode.ERROR))
        span.record_exception(error)
        span.set_status(Status(StatusCode.ERROR, str(error)))


def _attributes_of_run(context: JobContext) -> Attributes:
    attributes: Attributes = {names.JOB_NAME: context.name}
    if context.chunk:
        attributes[names.BATCH_COUNT] = len(context.chunk)
    else:
        attributes[names.MESSAGE_ID] = str(context.public_id)
        attributes[names.ATTEMPT] = context.attempt
        attributes[names.MAX_ATTEMPTS] = context.max_attempts
    return attributes


def _carrier(context: JobContext) -> dict[str, str]:
    """Return what the enqueue has put into the metadata; nothing of a job that was enqueued without this hook."""
    carrier = context.metadata.get(names.CARRIER)
    if not isinstance(carrier, dict):
        return {}
    return {key: value for key, value in carrier.items() if isinstance(value, str)}


def _enqueue_span(context: JobContext) -> SpanContext:
    """Return the span of a job's enqueue, of another process as a rule; an invalid one if it is not known."""
    return trace.get_current_span(propagate.extract(_carrier(context), context=Context())).get_span_context()
