"""The hook: a span around each enqueue; a scope, a transaction, a check-in and the report of errors around each run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import Any

import sentry_sdk
from asgiref.sync import sync_to_async

from ...context import JobContext
from ...hooks import Insertion
from ...registry import DefinedJob
from ..run_ends import RunEnd, run_end
from . import spans
from .check_ins import CheckIn, begin_check_in
from .events import capture_error, describe_job
from .options import ReportOptions
from .secrets import masking, secrets_of

METADATA_KEY = "sentry"
"""The key in a job's metadata under which the trace of its enqueue travels."""
HEADERS = ("sentry-trace", "baggage")

_is_enqueueing: ContextVar[bool] = ContextVar("django_jobs_sentry_enqueueing", default=False)


class SentryHook:
    """See the module. ``find_options`` returns None where Sentry is not initialized, or without the integration."""

    def __init__(self, find_options: Callable[[], ReportOptions | None]) -> None:
        self._find_options = find_options

    @contextmanager
    def around_enqueue(self, insertion: Insertion) -> Iterator[None]:
        """Make the span ``queue.publish`` of one enqueue."""
        if self._find_options() is None:
            yield
            return
        token = _is_enqueueing.set(True)
        try:
            with spans.publish_span(insertion):
                yield
        finally:
            _is_enqueueing.reset(token)

    def on_enqueue(self, definition: DefinedJob) -> Mapping[str, Any]:
        """Return the trace of the enqueue for the job's metadata; a tick's or a copy's job begins one of its own."""
        if not _is_enqueueing.get() or self._find_options() is None:
            return {}
        values = zip(HEADERS, (sentry_sdk.get_traceparent(), sentry_sdk.get_baggage()), strict=True)
        headers = {name: value for name, value in values if value}
        return {METADATA_KEY: headers} if headers else {}

    @contextmanager
    def around(self, context: JobContext) -> Iterator[None]:
        """Surround a run."""
        options = self._find_options()
        if options is None:
            yield
        else:
            with _reported(context, options, begin_check_in(context, options)):
                yield

    @asynccontextmanager
    async def aaround(self, context: JobContext) -> AsyncIterator[None]:
        """Surround a run of an ``async def`` job: only the schedule of a check-in is read in a thread."""
        options = self._find_options()
        if options is None:
            yield
            return
        check_in = None
        if context.schedule_name is not None:
            check_in = await sync_to_async(begin_check_in)(context, options)
        with _reported(context, options, check_in):
            yield


@contextmanager
def _reported(context: JobContext, options: ReportOptions, check_in: CheckIn | None) -> Iterator[None]:
    failure: BaseException | None = None
    secrets = secrets_of(context)
    with sentry_sdk.isolation_scope() as scope, masking(secrets or ()):
        scope.clear_breadcrumbs()
        describe_job(scope, context, secrets)
        run_span = spans.RunSpan(context, _headers(context))
        try:
            yield
        except BaseException as error:
            failure = error
            raise
        finally:
            end = run_end(failure, context)
            if failure is not None and (end is RunEnd.DEAD or (end.is_failure and options.report_all_attempts)):
                capture_error(failure)
            run_span.end(is_failure=end.is_failure)
            if check_in is not None:
                check_in.end(end)


def _headers(context: JobContext) -> dict[str, str]:
    """Return what the enqueue has put into the metadata; nothing of a job that was enqueued without this hook."""
    given = context.metadata.get(METADATA_KEY)
    return (
        {name: given[name] for name in HEADERS if isinstance(given.get(name), str)} if isinstance(given, dict) else {}
    )
