"""Cancel waiting jobs whose expiry has passed, with their dependents. Called by maintenance."""

from __future__ import annotations

from ..dialects import open_dialect
from ..enqueue.expiry import cancel_expired_waiting, due_expiries
from .after_finish import handle_cancelled

BATCH_SIZE = 1_000


def expire(*, limit: int = BATCH_SIZE, using: str | None = None) -> tuple[int, bool]:
    """Cancel up to ``limit`` expired jobs; return how many were, and whether there may be more.

    One small statement if none is due. Running jobs are left alone. Any number of workers may call this at once.
    """
    dialect, connection = open_dialect(using)
    alias = connection.alias
    due = due_expiries(limit=limit, using=alias)
    if not due:
        return 0, False
    with dialect.write_transaction(connection):
        cancelled = cancel_expired_waiting(due, using=alias)
        handle_cancelled(cancelled, using=alias)
    return len(cancelled), len(due) == limit
