"""Among: a condition on a key by hundreds of values, sent as one, and met by looking these up.

``filter(column__in=[...])`` makes a parameter of each value, and Django and the driver then spend more time on a
list of 500 than the database on finding its rows: a finish of jobs under limits took Python twice as long. MySQL and
MariaDB, besides, read, and lock, the whole of a small table rather than a list of its keys: a worker would wait for
the transaction of somebody who has just enqueued. So there the condition carries a mark, by which ``look_up``, a
wrapper around the statements of a dialect's transaction, has the primary key used.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any

from django.db.models import F, Lookup

MARK = "/* by key */"
_TABLE = r"(`django_jobs_\w+`)"
_HINTED = (
    (re.compile(rf"^UPDATE {_TABLE} SET "), r"UPDATE \1 FORCE INDEX (PRIMARY) SET "),
    (re.compile(rf"^DELETE FROM {_TABLE} WHERE "), r"DELETE \1 FROM \1 FORCE INDEX (PRIMARY) WHERE "),
    (re.compile(rf"^(SELECT .*? FROM {_TABLE}) WHERE (?=.* FOR UPDATE)"), r"\1 FORCE INDEX (PRIMARY) WHERE "),
)


class Among(Lookup):
    """``filter(Among("job_id", ids))``: the column's value is one of ``ids``, of which there may be none.

    ``by_key``: the column is the primary key, or the first of its columns. A lookup and not a function, because MySQL
    would be asked whether a function's value is true, which no index answers.
    """

    lookup_name = "among"
    prepare_rhs = False

    def __init__(self, column: str, ids: Iterable[int], *, by_key: bool = True) -> None:
        super().__init__(F(column), tuple(ids))
        self.by_key = by_key

    def as_postgresql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        """Return the condition with an array, written as a literal."""
        column, values = self.process_lhs(compiler, connection)
        return f"{column} = ANY(%s::bigint[])", [*values, "{" + ",".join(map(str, self.rhs)) + "}"]

    def as_sqlite(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        """Return the condition with a JSON array."""
        column, values = self.process_lhs(compiler, connection)
        return f"{column} IN (SELECT value FROM json_each(%s))", [*values, json.dumps(self.rhs)]

    def as_mysql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        """Return the condition with a list that the driver writes out, and the mark."""
        column, values = self.process_lhs(compiler, connection)
        mark = f" {MARK}" if self.by_key else ""
        return f"{column} IN %s{mark}", [*values, self.rhs or (None,)]


def look_up(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
    """Run a statement of MySQL's or MariaDB's that carries the mark by its table's primary key."""
    if MARK in sql:
        for pattern, hinted in _HINTED:
            sql, number = pattern.subn(hinted, sql, count=1)
            if number:
                break
    return execute(sql, params, many, context)
