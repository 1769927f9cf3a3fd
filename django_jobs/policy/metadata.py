"""Keys that the engine writes into a job's metadata, and the metadata of a copy."""

from __future__ import annotations

BATCH_KEY = "batch"
"""In a callback of a batch: the batch's id."""
COPY_OF = "copy_of"
"""In a copy: the id of the original."""
POSITION, DONE = "django_jobs_position", "django_jobs_done"
"""In a built-in bulk job: where its next step starts, and the number of rows processed."""


def copied_metadata(metadata: object, *, original_id: int) -> dict[str, object]:
    """Return the metadata of a copy: the original's, without its position in a bulk operation."""
    kept = metadata if isinstance(metadata, dict) else {}
    return {key: value for key, value in kept.items() if key not in {POSITION, DONE}} | {COPY_OF: original_id}
