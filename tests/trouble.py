"""A database that cannot be used, for the connections that the test's own process opens."""

from __future__ import annotations

from pathlib import Path

from django.db import connection

EMPTY = {"postgresql": "postgres", "mysql": "mysql"}
"""Databases that each server has, without tables of a project."""


class Trouble:
    """Changes the settings of the database, which all threads share, until ``end``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._before = dict(connection.settings_dict)

    def begin(self, **settings: str) -> None:
        """Have the next connection use other settings."""
        connection.close()
        connection.settings_dict.update({"OPTIONS": dict(self._before["OPTIONS"]), **settings})

    def end(self) -> None:
        """Have the next connection use the test database again."""
        self.begin(**self._before)

    def unreachable(self) -> None:
        """Nothing listens where the database should be."""
        if connection.vendor == "sqlite":
            self.begin(NAME=str(self._folder / "no folder" / "jobs.sqlite3"))
        else:
            self.begin(PORT="1")

    def unmigrated(self) -> None:
        """The database has no tables."""
        self.end()
        self.begin(NAME=EMPTY.get(connection.vendor, str(self._folder / "empty.sqlite3")))
