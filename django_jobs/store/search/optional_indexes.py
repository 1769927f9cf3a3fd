"""Indexes of jobs that a project may add: by name and by argument. Searches use them where they are.

They are not among the models' indexes because every enqueue and every change of a job's state pays for them.
"""

from __future__ import annotations

from typing import Any

from django.db.models import Index, QuerySet

from ...exceptions import ConfigurationError
from ...models import Job
from ..dialects import Dialect, open_dialect

NAMES, ARGUMENTS = "names", "arguments"
INDEX_NAMES = {NAMES: "django_jobs_by_name", ARGUMENTS: "django_jobs_by_argument"}


def has_name_index(jobs: QuerySet[Job]) -> bool:
    """Tell whether the index of names is there and usable. One statement of the catalogue."""
    dialect, connection = open_dialect(jobs.db)
    return dialect.server.has_index(connection, Job._meta.db_table, INDEX_NAMES[NAMES])


def has_argument_index(jobs: QuerySet[Job]) -> bool:
    """Tell whether PostgreSQL has a usable GIN index of arguments, under any name. One statement of the catalogue."""
    dialect, connection = open_dialect(jobs.db)
    return dialect.server.has_argument_index(connection)


def create_optional_index(kind: str, *, using: str | None = None) -> bool:
    """Create an index and return whether it was not there; on PostgreSQL enqueues and workers go on meanwhile.

    Raises ConfigurationError for an index that the database cannot have.
    """
    dialect, connection = open_dialect(using)
    server, index = dialect.server, _index(kind, dialect)
    if server.has_index(connection, Job._meta.db_table, index.name):
        return False
    with connection.schema_editor(atomic=not server.builds_indexes_online) as editor:
        if index.name in server.read_invalid_indexes(connection, [Job._meta.db_table]):
            editor.remove_index(Job, index, **_online(dialect))  # what a build that was interrupted has left
        editor.add_index(Job, index, **_online(dialect))
    return True


def drop_optional_index(kind: str, *, using: str | None = None) -> bool:
    """Drop an index and return whether it was there."""
    dialect, connection = open_dialect(using)
    server, index = dialect.server, _index(kind, dialect)
    is_invalid = index.name in server.read_invalid_indexes(connection, [Job._meta.db_table])
    if not is_invalid and not server.has_index(connection, Job._meta.db_table, index.name):
        return False
    with connection.schema_editor(atomic=not server.builds_indexes_online) as editor:
        editor.remove_index(Job, index, **_online(dialect))
    return True


def _index(kind: str, dialect: Dialect) -> Index:
    if kind == NAMES:
        return Index(fields=["name", "id"], name=INDEX_NAMES[NAMES])
    index = dialect.server.argument_index(INDEX_NAMES[ARGUMENTS])
    if index is None:
        raise ConfigurationError(f"an index of arguments needs PostgreSQL; the jobs' database is {dialect.title}")
    return index


def _online(dialect: Dialect) -> dict[str, Any]:
    """Return the options with which an index is built beside other transactions, where the database can."""
    return {"concurrently": True} if dialect.server.builds_indexes_online else {}
