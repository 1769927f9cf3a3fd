"""Background jobs for Django, with the project's own database as the queue.

The names below are those that most projects need. More are in ``backoff``, ``batches``, ``context``, ``exceptions``,
``hooks``, ``limits``, ``schedules``, ``uniqueness`` and ``workflows``. Importing this package loads no model, so
``@job`` works before ``django.setup()``; ``Job`` and the other tables are in ``django_jobs.models``.
"""

from .batches import Batch
from .chunks import Chunk, ChunkItem
from .context import current_job
from .definition import JobDefinition, aenqueue, enqueue, find_job, job
from .exceptions import Cancel, Discard, Retry, Snooze
from .once import once
from .schedules import schedule
from .workflows import chain, chord, group

__version__ = "0.1.0"

__all__ = [
    "Batch",
    "Cancel",
    "Chunk",
    "ChunkItem",
    "Discard",
    "JobDefinition",
    "Retry",
    "Snooze",
    "aenqueue",
    "chain",
    "chord",
    "current_job",
    "enqueue",
    "find_job",
    "group",
    "job",
    "once",
    "schedule",
]
