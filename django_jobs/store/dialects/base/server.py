"""The contract of questions to the database server about itself, for ``jobs doctor``."""

from __future__ import annotations

from typing import Any, Protocol

from django.db import Error as DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Index

from ....policy.doctor import ServerFacts, UnsafeSetting


class ServerStatements(Protocol):
    """Read the server's state and its settings."""

    builds_indexes_online: bool
    """True if an index can be built while other transactions write to its table."""

    def read_facts(self, connection: BaseDatabaseWrapper, *, notify: bool) -> ServerFacts:
        """Return what the server tells this user; ``notify``: whether to try out notifications."""

    def unsafe_options(self, connection: BaseDatabaseWrapper) -> list[UnsafeSetting]:
        """Return what is wrong with the connection's options in DATABASES; asks no server."""

    def takes_all_text(self, connection: BaseDatabaseWrapper) -> bool:
        """Tell whether the text columns of the jobs' tables take every character."""

    def read_invalid_indexes(self, connection: BaseDatabaseWrapper, tables: list[str]) -> list[str]:
        """Return the indexes of these tables that exist but are not usable."""

    def has_index(self, connection: BaseDatabaseWrapper, table: str, name: str) -> bool:
        """Tell whether the table has a usable index of this name."""

    def has_argument_index(self, connection: BaseDatabaseWrapper) -> bool:
        """Tell whether an index, of any name, serves a search by what a job's arguments contain."""

    def argument_index(self, name: str) -> Index | None:
        """Return the definition of such an index, None if the database cannot have one."""

    def table_option_statements(self) -> list[str]:
        """Return the statements of the migration that tune each table for the way it is used."""

    def read_lost_table_options(self, connection: BaseDatabaseWrapper) -> list[str]:
        """Return the tables that lack options which these statements set."""


def readable_rows(connection: BaseDatabaseWrapper, statement: str, values: Any = None) -> list[Any]:
    """Return the rows, or an empty list if this user may not read them."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement, values)
            return list(cursor.fetchall())
    except DatabaseError:
        return []
