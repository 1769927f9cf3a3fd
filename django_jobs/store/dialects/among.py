"""Among: a condition on a whole-number column by hundreds of values, sent as one.

``filter(column__in=[...])`` makes a parameter of each value, and Django and the driver then spend more time on a
list of 500 than the database on finding its rows: a finish of jobs under limits took Python twice as long.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from django.db.models import BooleanField, F, Func


class Among(Func):
    """``filter(Among("job_id", ids))``: the column's value is one of ``ids``, of which there may be none."""

    output_field = BooleanField()

    def __init__(self, column: str, ids: Iterable[int]) -> None:
        super().__init__(F(column))
        self.ids = tuple(ids)

    def _constructor_args(
        self,
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:  # pragma: no cover - for Django's repr
        return (self.source_expressions[0], self.ids), {}

    def as_postgresql(self, compiler: Any, connection: Any, **_: Any) -> tuple[str, list[Any]]:
        """Return the condition with an array, written as a literal."""
        column, values = compiler.compile(self.source_expressions[0])
        return f"{column} = ANY(%s::bigint[])", [*values, "{" + ",".join(map(str, self.ids)) + "}"]

    def as_sqlite(self, compiler: Any, connection: Any, **_: Any) -> tuple[str, Any]:
        """Return the condition with a JSON array."""
        column, values = compiler.compile(self.source_expressions[0])
        return f"{column} IN (SELECT value FROM json_each(%s))", [*values, json.dumps(self.ids)]

    def as_mysql(self, compiler: Any, connection: Any, **_: Any) -> tuple[str, list[Any]]:
        """Return the condition with a list that the driver writes out."""
        column, values = compiler.compile(self.source_expressions[0])
        return f"{column} IN %s", [*values, self.ids or (None,)]
