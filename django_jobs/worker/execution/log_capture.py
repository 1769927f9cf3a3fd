"""Take what a job logs through ``logging``: a handler of the root logger, for records made under a job's context."""

from __future__ import annotations

import logging
import traceback

from ...context import current_job_or_none
from ...exceptions import Cancel, JobTimeoutError

ENGINE_LOGGER = "django_jobs"


class JobLogHandler(logging.Handler):
    """Gives records to the run in whose context they were made; the engine's own are not a job's.

    Takes no lock: whatever it touches is made for many threads.
    """

    def handle(self, record: logging.LogRecord) -> bool:
        """Keep a record, and pass it on where the project has no handler of its own."""
        if _is_unhandled(record) and logging.lastResort is not None:
            logging.lastResort.handle(record)
        job = current_job_or_none()
        if job is None or record.name == ENGINE_LOGGER or record.name.startswith(f"{ENGINE_LOGGER}."):
            return True
        try:
            if self.filter(record):
                job.keep(level=record.levelname, logger=record.name, message=_text(record))
        except (JobTimeoutError, Cancel):  # raised in the job from outside, and meant for it
            raise
        except Exception:  # noqa: BLE001 - what a job logs must not fail it
            self.handleError(record)
        return True


def capture_logs() -> None:
    """Have what jobs log in this process kept."""
    root = logging.getLogger()
    if not any(isinstance(one, JobLogHandler) for one in root.handlers):
        root.addHandler(JobLogHandler())


def _is_unhandled(record: logging.LogRecord) -> bool:
    """Tell whether no handler but ours hears of a record that Python would then write to the standard error."""
    if logging.lastResort is None or record.levelno < logging.lastResort.level:
        return False
    logger: logging.Logger | None = logging.getLogger(record.name)
    while logger is not None:
        if any(not isinstance(one, JobLogHandler) for one in logger.handlers):
            return False
        logger = logger.parent if logger.propagate else None
    return True


def _text(record: logging.LogRecord) -> str:
    try:
        text = record.getMessage()
    except (JobTimeoutError, Cancel):
        raise
    except Exception as error:  # noqa: BLE001 - what is logged may raise anything while it is written out
        text = f"{record.msg if isinstance(record.msg, str) else type(record.msg)} ({type(error).__name__}: {error})"
    if record.exc_info and record.exc_info[1] is not None:
        text = f"{text}\n{''.join(traceback.format_exception(record.exc_info[1])).rstrip()}"
    return text
