"""Find, change and delete rows by hundreds of ids, sent as one value and looked up in an index.

``filter(column__in=[...])`` makes a parameter of each id, and Django and the driver then spend more time on a list of
500 than the database on finding its rows: a finish of jobs under limits took Python twice as long.

MySQL and MariaDB, besides, read and lock the whole of a small table instead of looking up a list of keys: a worker
would wait for the transaction of a new enqueue. So ``InIds`` names an index, and the query that it is put into becomes
an ``IndexedQuery``, for which a vendor may have SQL compilers of its own: see ``mysql/compilers.py``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from django.db import connections
from django.db.models import F, Lookup, QuerySet
from django.db.models.sql import DeleteQuery, Query, UpdateQuery
from django.db.models.sql.constants import ROW_COUNT

PRIMARY = "PRIMARY"
COMPILERS: dict[str, Any] = {}
"""Modules with SQL compilers for an ``IndexedQuery``, by vendor; the vendor's ``dialect.py`` adds its own."""


class InIds(Lookup):
    """``filter(InIds("job_id", ids))``: the column's value is one of ``ids``, of which there may be none.

    ``index``: the index to use on MySQL and MariaDB, whose first column this is; None leaves the choice to them. A
    lookup and not a function: MySQL would be asked whether a function's value is true, which no index answers.
    """

    lookup_name = "in_ids"
    prepare_rhs = False

    def __init__(self, column: str, ids: Iterable[int], *, index: str | None = PRIMARY) -> None:
        super().__init__(F(column), tuple(ids))
        self.index = index

    def resolve_expression(self, query: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Resolve the column; the first condition of a query that names an index makes it an ``IndexedQuery``."""
        resolved = super().resolve_expression(query, *args, **kwargs)
        if self.index is not None and type(query) is Query:
            query.__class__ = IndexedQuery
            vars(query)["by_index"] = resolved
        return resolved

    def as_postgresql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        """Return the condition with an array, written as a literal."""
        column, values = self.process_lhs(compiler, connection)
        return f"{column} = ANY(%s::bigint[])", [*values, "{" + ",".join(map(str, self.rhs)) + "}"]

    def as_sqlite(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        """Return the condition with a JSON array."""
        column, values = self.process_lhs(compiler, connection)
        return f"{column} IN (SELECT value FROM json_each(%s))", [*values, json.dumps(self.rhs)]

    def as_mysql(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        """Return the condition with a list that the driver writes out, or with the ids that the statement joins."""
        column, values = self.process_lhs(compiler, connection)
        if getattr(compiler, "joined_ids", None) is self:
            return f"{column} = {compiler.IDS}.id", values
        return f"{column} IN %s", [*values, self.rhs or (None,)]


class IndexedQuery(Query):
    """A query whose rows are looked up by the index that ``by_index`` names, if the vendor has compilers for that."""

    by_index: InIds

    def chain(self, klass: Any = None) -> Any:
        """Stay indexed as an UPDATE or a DELETE."""
        return super().chain(_INDEXED.get(klass, klass))

    def get_compiler(self, using: str | None = None, connection: Any = None, elide_empty: bool = True) -> Any:
        """Return the vendor's compiler for indexed queries, or Django's."""
        connection = connections[using] if using else connection
        compilers = COMPILERS.get(connection.vendor)
        if compilers is None:
            return super().get_compiler(using, connection, elide_empty)
        return getattr(compilers, self.compiler)(self, connection, using, elide_empty)


class IndexedUpdateQuery(IndexedQuery, UpdateQuery):
    """An UPDATE of rows looked up by an index."""


class IndexedDeleteQuery(IndexedQuery, DeleteQuery):
    """A DELETE of rows looked up by an index."""


_INDEXED: dict[Any, Any] = {UpdateQuery: IndexedUpdateQuery, DeleteQuery: IndexedDeleteQuery}


def delete_rows(rows: QuerySet[Any, Any]) -> int:
    """Delete rows in one statement and return how many: without loading them, signals, or what refers to them."""
    deleted: int = rows.query.chain(DeleteQuery).get_compiler(rows.db).execute_sql(ROW_COUNT)
    return deleted
