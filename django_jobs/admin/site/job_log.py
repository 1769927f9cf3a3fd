"""The log of a run as ``admin/django_jobs/job/log.html`` shows it."""

from __future__ import annotations

from typing import Any

from ...models import JobLog
from ...models.job_log import LoggedLine
from .times import format_timestamp


def log_context(log: JobLog) -> dict[str, Any]:
    """Return the first and last lines, and the number of those between that are omitted."""
    return {
        "first": [_line(line) for line in log.first],
        "omitted": log.omitted,
        "last": [_line(line) for line in log.last],
    }


def _line(line: LoggedLine) -> dict[str, Any]:
    time = format_timestamp(line.at, is_precise=True, is_relative=False)
    return {"time": time, "level": line.level, "logger": line.logger, "message": line.message}
