"""Capture the log records of jobs: a handler of the root logger, for records made in a job's context."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from ...context import current_job_or_none
from ...exceptions import Cancel, JobTimeoutError

ENGINE_LOGGER = "django_jobs"


class JobLogHandler(logging.Handler):
    """Adds records to the log of the run in whose context they were made, except the engine's own.

    Takes no lock: everything it uses is thread-safe.
    """

    def handle(self, record: logging.LogRecord) -> bool:
        """Keep a record, and pass it on if the project has no handler of its own."""
        if _is_unhandled(record) and logging.lastResort is not None:
            logging.lastResort.handle(record)
        job = current_job_or_none()
        if job is None or record.name == ENGINE_LOGGER or record.name.startswith(f"{ENGINE_LOGGER}."):
            return True
        try:
            if self.filter(record):
                job.keep(level=record.levelname, logger=record.name, message=_text(record))
        except (JobTimeoutError, Cancel):  # raised in the job from outside: they end the job
            raise
        except Exception:  # noqa: BLE001 - logging must not fail the job
            self.handleError(record)
        return True


def capture_logs() -> None:
    """Keep the log records of jobs in this process."""
    root = logging.getLogger()
    if not any(isinstance(handler, JobLogHandler) for handler in root.handlers):
        root.addHandler(JobLogHandler())


@contextmanager
def capturing_logs() -> Iterator[None]:
    """Keep the log records of jobs in the block."""
    root, before = logging.getLogger(), list(logging.getLogger().handlers)
    capture_logs()
    try:
        yield
    finally:
        for handler in [handler for handler in root.handlers if isinstance(handler, JobLogHandler)]:
            if handler not in before:
                root.removeHandler(handler)


def _is_unhandled(record: logging.LogRecord) -> bool:
    """Tell whether no handler but ours receives a record, which Python would then write to stderr."""
    if logging.lastResort is None or record.levelno < logging.lastResort.level:
        return False
    logger: logging.Logger | None = logging.getLogger(record.name)
    while logger is not None:
        if any(not isinstance(handler, JobLogHandler) for handler in logger.handlers):
            return False
        logger = logger.parent if logger.propagate else None
    return True


def _text(record: logging.LogRecord) -> str:
    try:
        text = record.getMessage()
    except (JobTimeoutError, Cancel):
        raise
    except Exception as error:  # noqa: BLE001 - formatting a record may raise anything
        text = f"{record.msg if isinstance(record.msg, str) else type(record.msg)} ({type(error).__name__}: {error})"
    if record.exc_info and record.exc_info[1] is not None:
        text = f"{text}\n{''.join(traceback.format_exception(record.exc_info[1])).rstrip()}"
    return text
