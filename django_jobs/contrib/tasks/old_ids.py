"""Find the jobs that were tasks of django-tasks-db, by the ids that their results had there."""

from __future__ import annotations

from uuid import UUID

from ...conf import get_settings
from ...policy.job_ids import JobId

QUEUE = "django_tasks_database"
"""The label of their app, by which their ids are kept."""

OUR_VERSION = 8
"""Of the UUIDs that ``ids`` makes."""


def find_imported(result_id: object) -> JobId | None:
    """Return the job that a task with this id became. A statement in each of the jobs' databases, until it is found.

    Without a statement for what is no UUID, and for one of our own kind: theirs are of version 4, or 7.
    """
    from ...store.enqueue.foreign_ids import find_foreign_ids

    try:
        foreign_id = UUID(str(result_id))
    except ValueError:
        return None
    if foreign_id.version == OUR_VERSION:
        return None
    for database in get_settings().aliases:
        found = find_foreign_ids(QUEUE, [str(foreign_id)], using=database)
        if found:
            return JobId(database, found[str(foreign_id)])
    return None
