"""Names of the channels that wake workers and schedulers, and the payload that names a queue."""

from __future__ import annotations

import re

CHANNEL = "django_jobs"
"""Wakes workers; the payload is the name of a queue that has a new job, behind its priority, or ``-``."""
SCHEDULERS_CHANNEL = "django_jobs_schedulers"
"""Tells schedulers that a schedule has changed."""

ANY_PRIORITY = "-"
_PRIORITY = re.compile(r"-?[0-9]{1,5}", re.ASCII)


def write_payload(queue_name: str, priority: int | None) -> str:
    """Return the payload for new jobs of a queue; ``priority`` None if it is unknown, or they may not be ready."""
    return f"{ANY_PRIORITY if priority is None else priority} {queue_name}"


def read_payload(payload: str) -> tuple[str, int | None]:
    """Return queue name and priority of a payload, as ``5 default``; None for ``- default``, or any other text."""
    priority, space, queue_name = payload.partition(" ")
    if space and queue_name and priority == ANY_PRIORITY:
        return queue_name, None
    if space and queue_name and _PRIORITY.fullmatch(priority):
        return queue_name, int(priority)
    return payload, None
