"""SQL compilers of an ``IndexedQuery`` on MySQL and MariaDB: they name the index that finds the rows.

Only a statement that locks rows needs it: a locking SELECT, an UPDATE, a DELETE. A DELETE becomes a join. It needs
nothing but the key, and if an index holds all that a statement needs, MariaDB reads the whole of it, forced or not,
unless it can look up each row of a table before.
"""

from __future__ import annotations

import json
from typing import Any

from django.db.backends.mysql import compiler
from django.db.backends.mysql.compiler import SQLAggregateCompiler, SQLInsertCompiler

__all__ = [
    "SQLAggregateCompiler",
    "SQLCompiler",
    "SQLDeleteCompiler",
    "SQLInsertCompiler",
    "SQLUpdateCompiler",
]


class SQLCompiler(compiler.SQLCompiler):
    """A SELECT; by the index if it locks."""

    query: Any

    def get_from_clause(self) -> Any:
        """Name the index behind the table, the first of the clause."""
        clause, params = super().get_from_clause()
        if self.query.select_for_update:
            clause[0] += f" FORCE INDEX ({self.query.by_index.index})"
        return clause, params


class SQLUpdateCompiler(compiler.SQLUpdateCompiler):
    """An UPDATE by the index."""

    query: Any

    def as_sql(self, *args: Any, **kwargs: Any) -> Any:
        """Name the index behind the table."""
        statement, params = super().as_sql(*args, **kwargs)
        update = f"UPDATE {self.quote_name_unless_alias(self.query.get_initial_alias())} "
        if statement.startswith(update):
            hint = f"FORCE INDEX ({self.query.by_index.index}) "
            statement = f"{update}{hint}{statement.removeprefix(update)}"
        return statement, params


class SQLDeleteCompiler(compiler.SQLDeleteCompiler):
    """A DELETE that joins the ids, each of which is looked up by the index."""

    IDS = "wanted"
    query: Any

    def as_sql(self, *args: Any, **kwargs: Any) -> Any:
        """Write the ids as a table in front of the one to delete from."""
        by_index = self.joined_ids = self.query.by_index
        table = self.quote_name_unless_alias(self.query.get_initial_alias())
        where, params = self.compile(self.query.where)
        statement = (
            f"DELETE {table} FROM JSON_TABLE(%s, '$[*]' COLUMNS (id BIGINT PATH '$')) AS {self.IDS}"
            f" STRAIGHT_JOIN {table} FORCE INDEX ({by_index.index}) WHERE {where}"
        )
        return statement, (json.dumps(by_index.rhs), *params)
