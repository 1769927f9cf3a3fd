"""Among: a condition on a key by hundreds of values, sent as one, and met by looking these up.

``filter(column__in=[...])`` makes a parameter of each value, and Django and the driver then spend more time on a
list of 500 than the database on finding its rows: a finish of jobs under limits took Python twice as long. MySQL and
MariaDB, besides, read, and lock, the whole of a small table rather than a list of its keys: a worker would wait for
the transaction of somebody who has just enqueued. So there the condition carries a mark, by which ``force_index_wrapper``, a
wrapper around the statements of a dialect's transaction, has the index used that it names. A DELETE becomes a join:
it needs the key alone, and where an index holds all that a statement needs MariaDB reads the whole of it, forced or
not, unless it can look up each row of a table before.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any

from django.db.models import F, Lookup

PRIMARY = "PRIMARY"
_MARKED = re.compile(r" IN %s /\* by (\w+) \*/")
_TABLE = r"(`django_jobs_\w+`)"
_DELETE = re.compile(rf"^DELETE FROM {_TABLE} WHERE ")
_JOINED = (
    r"DELETE \1 FROM JSON_TABLE(%s, '$[*]' COLUMNS (id BIGINT PATH '$')) AS among"
    r" STRAIGHT_JOIN \1 FORCE INDEX ({index}) WHERE "
)
_HINTED = (
    (re.compile(rf"^UPDATE {_TABLE} SET "), r"UPDATE \1 FORCE INDEX ({index}) SET "),
    (re.compile(rf"^(SELECT .*? FROM {_TABLE}) WHERE (?=.* FOR UPDATE)"), r"\1 FORCE INDEX ({index}) WHERE "),
)


class InIds(Lookup):
    """``filter(Among("job_id", ids))``: the column's value is one of ``ids``, of which there may be none.

    ``index``: on MySQL and MariaDB the one to look in, of which the column is the first; None leaves that to them. A
    lookup and not a function, because MySQL would be asked whether a function's value is true, which no index answers.
    """

    lookup_name = "among"
    prepare_rhs = False

    def __init__(self, column: str, ids: Iterable[int], *, index: str | None = PRIMARY) -> None:
        super().__init__(F(column), tuple(ids))
        self.index = index

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
        mark = f" /* by {self.index} */" if self.index else ""
        return f"{column} IN %s{mark}", [*values, self.rhs or (None,)]


def force_index_wrapper(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
    """Run a statement of MySQL's or MariaDB's that carries the mark by the index that it names."""
    marked = _MARKED.search(sql)
    if marked is not None:
        index = marked[1]
        joined, number = _DELETE.subn(_JOINED.format(index=index), sql)
        if number:
            at = next(at for at, value in enumerate(params) if isinstance(value, tuple))
            ids = json.dumps([one for one in params[at] if one is not None])
            sql, params = _MARKED.sub(" = among.id", joined, count=1), (ids, *params[:at], *params[at + 1 :])
        else:
            for pattern, hinted in _HINTED:
                sql = pattern.sub(hinted.format(index=index), sql)
    return execute(sql, params, many, context)
