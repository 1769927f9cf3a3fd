"""A context for functions that are called plainly: what they report is kept in memory."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any, NamedTuple

from ..context import JobContext, activate_context
from ..models.job_log import LoggedLine
from .targets import EXAMPLE, JobLike, definition_of


class Progress(NamedTuple):
    """The arguments of one ``set_progress``."""

    done: int
    total: int | None
    message: str


class FakeContext(JobContext):
    """The context of a run that no worker makes. Nothing is written to the database.

    ``progress``: all calls of ``set_progress``, also those that a worker would not save because they came too soon.
    ``lines``: the lines of ``log``. ``saved_metadata``: the metadata as last saved, None before that.
    """

    __slots__ = ("lines", "progress", "saved_metadata")

    def __init__(self, **fields: Any) -> None:
        super().__init__(save=self._keep_update, log=_Lines(self), **fields)
        self.progress: list[Progress] = []
        self.lines: list[LoggedLine] = []
        self.saved_metadata: dict[str, Any] | None = None

    @property
    def cancel_requested(self) -> bool:
        """True after ``request_cancel()``."""
        return self._is_cancel_requested

    def request_cancel(self) -> None:
        """Have the function find that its cancellation was requested."""
        self._is_cancel_requested = True

    def set_progress(self, done: int, total: int | None = None, message: str = "") -> None:
        """Keep how far the job is. Raises what the real one raises."""
        self._last_saved_at = None  # as if the last call were long ago
        super().set_progress(done, total, message)

    def _keep_update(self, fields: dict[str, Any]) -> None:
        if "metadata" in fields:
            self.saved_metadata = deepcopy(self.metadata)
        else:
            self.progress.append(
                Progress(fields["progress_done"], fields["progress_total"], fields["progress_message"])
            )


class _Lines:
    """LogSink of a fake context."""

    def __init__(self, context: FakeContext) -> None:
        self._context = context

    def add(self, *, level: str, logger: str, message: str) -> None:
        """Keep a line."""
        self._context.lines.append(LoggedLine(at=datetime.now(UTC), level=level, logger=logger, message=message))


@contextmanager
def fake_context(
    job: JobLike | None = None,
    *,
    job_id: int = 0,
    attempt: int = 1,
    max_attempts: int | None = None,
    queue_name: str | None = None,
    priority: int | None = None,
    metadata: Mapping[str, Any] | None = None,
    due_at: datetime | None = None,
) -> Iterator[FakeContext]:
    """Have ``current_job()`` work in a function that the block calls plainly: no queue, no worker, no retry.

    ``with fake_context(render_pdf, attempt=2) as context: render_pdf(1)``. With ``takes_context=True`` the function is
    given it: ``render_pdf(context, 1)``. What is not given here are the options of ``job``, or the settings' defaults.
    ``due_at``: when the tick was due, of a job that a schedule enqueues.

    Works in synchronous and asynchronous tests, and without a database. ``HOOKS`` are not entered, and exceptions such
    as ``Retry`` reach the test.
    """
    definition = definition_of(EXAMPLE if job is None else job)
    options = definition.options
    queue = queue_name or options.resolve("queue_name")
    context = FakeContext(
        job_id=job_id,
        name=definition.name,
        queue_name=queue,
        priority=options.resolve("priority", queue) if priority is None else priority,
        attempt=attempt,
        max_attempts=options.resolve("max_attempts", queue) if max_attempts is None else max_attempts,
        enqueued=time.time(),
        metadata={**(metadata or {}), **({"due_at": due_at.isoformat()} if due_at else {})},
    )
    with activate_context(context):
        yield context
