"""Find the jobs that were tasks of django-tasks-db, by the ids that their results had there."""

from __future__ import annotations

from uuid import UUID

QUEUE = "django_tasks_database"
"""The label of their app, by which their ids are kept."""

OUR_VERSION = 8
"""Of the UUIDs that ``ids`` makes."""


def find_imported(result_id: object) -> int | None:
    """Return the primary key of the job that a task with this id became.

    Without a statement for what is no UUID, and for one of our own kind: theirs are of version 4, or 7.
    """
    from ...store.enqueue.foreign_ids import find_foreign_ids

    try:
        foreign_id = UUID(str(result_id))
    except ValueError:
        return None
    if foreign_id.version == OUR_VERSION:
        return None
    return find_foreign_ids(QUEUE, [str(foreign_id)]).get(str(foreign_id))
