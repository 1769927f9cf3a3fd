"""Log records about one job: each begins with the job, and has its fields for handlers and formatters.

The fields are ``job_id``, a number, ``database``, the alias of the job's, ``job_name``, ``queue_name``, ``attempt`` and
``request_id``, the value of that key in the job's metadata. What is not known is None.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Protocol
from uuid import UUID

from django.db.models import Model

from .arguments.metadata import read_metadata
from .conf import get_settings
from .conf.database import current_database, public_id
from .exceptions import SerializationError
from .policy.printable import printable
from .policy.redact import redact

REQUEST_ID = "request_id"
"""In a job's metadata: the id of the request that enqueued it. Logs have it as it is, unless REDACT masks that name."""
MAX_REQUEST_ID_LENGTH = 200

ExceptionInfo = tuple[type[BaseException], BaseException, TracebackType | None]


class LoggedJob(Protocol):
    """A claim, or the row of a job."""

    @property
    def name(self) -> str:
        """The job's name."""

    @property
    def queue_name(self) -> str:
        """The job's queue."""

    @property
    def attempt(self) -> int:
        """The attempts so far."""


def log_job(
    logger: logging.Logger,
    level: int,
    job: LoggedJob,
    text: str,
    *args: object,
    exc_info: ExceptionInfo | bool | None = None,
) -> None:
    """Log ``job 7 (shop.send) <text>`` with the job's fields, if the logger takes records of this level.

    ``job eu:7`` if jobs are in several databases.

    ``text`` goes on where the job stops: ``"succeeded in %.3f s"``. Makes no statement.
    """
    if logger.isEnabledFor(level):
        fields = job_fields(job)
        message = f"job %s (%s) {text}"
        named = (public_id(fields["job_id"], database=fields["database"]), fields["job_name"], *args)
        logger.log(level, message, *named, exc_info=exc_info, extra=fields, stacklevel=2)


def job_fields(job: LoggedJob) -> dict[str, Any]:
    """Return the fields of a record about a job."""
    # A row may have been read without its metadata, which must not be read now.
    is_row = isinstance(job, Model)
    metadata = vars(job).get("metadata") if is_row else getattr(job, "metadata", None)
    return record_fields(
        job_id=getattr(job, "pk" if is_row else "job_id"),
        database=job._state.db if isinstance(job, Model) else None,
        job_name=job.name,
        queue_name=job.queue_name,
        attempt=job.attempt,
        request_id=_read(metadata).get(REQUEST_ID),
    )


def record_fields(
    *,
    job_id: int | None = None,
    database: str | None = None,
    job_name: str | None = None,
    queue_name: str | None = None,
    attempt: int | None = None,
    request_id: object = None,
) -> dict[str, Any]:
    """Return the fields of a record, without control characters in their texts.

    ``database``: that of the job, by default the one that this code acts on.
    """
    return {
        "job_id": job_id,
        "database": None if job_id is None else database or current_database(),
        "job_name": None if job_name is None else printable(job_name),
        "queue_name": None if queue_name is None else printable(queue_name),
        "attempt": attempt,
        "request_id": None if request_id is None else _request_id(request_id),
    }


def _read(metadata: object) -> Mapping[str, Any]:
    """Return the metadata of a claim, which is text, or of a row, which has none if it is deferred."""
    if not isinstance(metadata, str):
        return metadata if isinstance(metadata, Mapping) else {}
    if f'"{REQUEST_ID}"' not in metadata:
        return {}
    try:
        return read_metadata(metadata)
    except SerializationError:
        return {}


def _request_id(value: object) -> str | None:
    if not isinstance(value, str | int | UUID):
        return None
    shown = redact({REQUEST_ID: str(value)}, parts=get_settings().redact)[REQUEST_ID]
    return printable(shown[:MAX_REQUEST_ID_LENGTH])
