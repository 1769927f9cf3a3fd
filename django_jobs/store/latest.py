"""Latest: read a row as it stands now, also where the transaction's snapshot is older."""

from __future__ import annotations

from typing import TypeVar

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model, QuerySet

from .dialects.keys import keys_of

M = TypeVar("M", bound=Model)


def read_latest(rows: QuerySet[M], connection: BaseDatabaseWrapper) -> M | None:
    """Return the one row, or None; where only a read that locks sees it, it stays locked until the commit."""
    if not keys_of(connection).sees_latest(connection):
        rows = rows.select_for_update()
    found = list(rows[:1])
    return found[0] if found else None
