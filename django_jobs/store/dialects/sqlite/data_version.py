"""The number by which a connection to SQLite tells that another has committed."""

from __future__ import annotations

from django.db.backends.base.base import BaseDatabaseWrapper


def data_version(connection: BaseDatabaseWrapper) -> int:
    """Return a number that changes with each commit of other connections. Takes microseconds: no Django, no lock."""
    version: int = connection.connection.execute("PRAGMA data_version").fetchone()[0]
    return version


def written_files(connection: BaseDatabaseWrapper) -> tuple[str, ...]:
    """Return the paths of the files to which a commit writes; none for a database in memory.

    SQLite itself tells: a project may name the file by a URI, a link, or from another folder.
    """
    path: str = connection.connection.execute("PRAGMA database_list").fetchone()[2]
    return (f"{path}-wal", path) if path else ()
