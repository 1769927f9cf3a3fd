"""Integers and rows as SQL text: adapting a list of a thousand parameters takes Python five times as long."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.db.backends.base.base import BaseDatabaseWrapper

ROWS_PER_STATEMENT = 5_000


def id_list(ids: Iterable[int]) -> str:
    """Return ids as the inside of an ``IN (...)``."""
    return ",".join(f"{job_id:d}" for job_id in ids)


def insert_rows(connection: BaseDatabaseWrapper, statement: str, rows: Sequence[str]) -> None:
    """Insert rows, each the text of its values in brackets, 5,000 a statement."""
    with connection.cursor() as cursor:
        for start in range(0, len(rows), ROWS_PER_STATEMENT):
            cursor.execute(statement.format(rows=",".join(rows[start : start + ROWS_PER_STATEMENT])))
