"""Expire: cancel waiting jobs that are too old to be of use, with what depends on them; for maintenance."""

from __future__ import annotations

from ..dialects import open_dialect
from ..enqueue.expiry import cancel_expired_waiting, due_expiries
from .after_finish import handle_cancelled

BATCH_SIZE = 1_000


def expire(*, limit: int = BATCH_SIZE, using: str | None = None) -> tuple[int, bool]:
    """Cancel up to 1,000; return how many were, and whether there may be more. One small statement where none is due.

    What runs by then is left alone. Any number of workers may do it at once.
    """
    dialect, connection = open_dialect(using)
    alias = connection.alias
    due = due_expiries(limit=limit, using=alias)
    if not due:
        return 0, False
    with dialect.write_transaction(connection):
        dropped = cancel_expired_waiting(due, using=alias)
        handle_cancelled(dropped, using=alias)
    return len(dropped), len(due) == limit
