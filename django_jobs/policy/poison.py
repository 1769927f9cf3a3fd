"""The job that keeps a message which cannot become a job, and the argument that names the job it was meant for."""

from __future__ import annotations

from typing import Any

READ_MESSAGE = "django_jobs.read_message"
MAX_BODY_BYTES = 64 * 1024


def meant_for(arguments: Any) -> str:
    """Return the name of the job that a kept message was meant for; an empty text if that cannot be read."""
    source = arguments.get("source") if isinstance(arguments, dict) else None
    name = source.get("job") if isinstance(source, dict) else None
    return name if isinstance(name, str) else ""
