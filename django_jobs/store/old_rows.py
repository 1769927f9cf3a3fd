"""Delete the rows of a table that are older than their retention, window by window."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from .clock import database_now
from .dialects import open_dialect
from .dialects.shared.by_id import delete_rows

WINDOW = 2_000


def delete_old(model: Any, field: str, period: timedelta | None, *, windows: int | None, using: str | None) -> int:
    """Delete rows of a model whose instant ``field`` is more than ``period`` ago (None: keep all); return how many.

    2,000 a statement, the oldest first, by the index of ``field``; at most ``windows`` statements (None: all), so that
    a table that was not pruned for long holds up nothing else.
    """
    if period is None:
        return 0
    _, connection = open_dialect(using)
    rows = model.objects.using(connection.alias)
    old = rows.filter(**{f"{field}__lt": database_now(using=connection.alias) - period})
    deleted = 0
    while windows is None or windows > 0:
        ids = list(old.order_by(field, "pk").values_list("pk", flat=True)[:WINDOW])
        if not ids:
            break
        delete_rows(rows.filter(pk__in=ids))
        deleted += len(ids)
        windows = None if windows is None else windows - 1
    return deleted
