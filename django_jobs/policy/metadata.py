"""Keys that the engine writes into a job's metadata, and the metadata of a copy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

BATCH_KEY = "batch"
"""In a callback of a batch: the batch's id."""
SCHEDULE_KEY = "schedule"
"""In the job of a tick, beside ``due_at``: the schedule's name."""
COPY_OF = "copy_of"
"""In a copy: the id of the original."""
POSITION, DONE = "django_jobs_position", "django_jobs_done"
"""In a built-in bulk job: where its next step starts, and the number of rows processed."""

MESSAGE = "message"
"""In a job that a message became: an object of its source and its place there."""
REPLAY = "replay"
"""In that object, if the message was replayed: true."""

MetadataSource = Callable[[str], Mapping[str, object]]
"""Returns what joins the metadata of jobs of this name, which no caller of ``enqueue`` makes: ticks and copies."""

TASK = "django_jobs_task"
"""In a job of a Task: how it was called; see ``contrib.tasks.calls``."""
CELERY = "django_jobs_celery"
"""In a job of ``contrib.celery``: how it was called, and a state of its own."""
RESERVED_KEYS = frozenset({TASK, CELERY})
"""Kept out of the metadata that a running job sees, and kept when it saves its own."""


def no_metadata(job_name: str) -> Mapping[str, object]:
    """Add nothing: a ``MetadataSource``."""
    return {}


def copied_metadata(
    metadata: object, *, original_id: int, added: Mapping[str, object] = MappingProxyType({})
) -> dict[str, object]:
    """Return the metadata of a copy: the original's, without its position in a bulk operation.

    ``added`` are keys for copies of jobs that lack them.
    """
    kept = metadata if isinstance(metadata, dict) else {}
    return (
        {**added} | {key: value for key, value in kept.items() if key not in {POSITION, DONE}} | {COPY_OF: original_id}
    )
