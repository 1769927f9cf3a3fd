"""Again: what the database undid in favour of another transaction is done anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from django.db import DatabaseError

from .dialects import is_conflict, open_dialect

T = TypeVar("T")


def again_after_conflicts(work: Callable[[], T], *, using: str | None = None) -> T:
    """Return what ``work``, one transaction, returns; call it again as often as it is a conflict's victim.

    Each time another transaction was faster, so somebody always gets on. InnoDB has such victims by design: where
    the first to insert a key is rolled back, two that waited for it both hold the gap that it leaves, and each waits
    for the other to insert there (MySQL manual, "Locks Set by Different SQL Statements").

    In a caller's transaction the error goes to the caller: it is that whole transaction that was undone.
    """
    _, connection = open_dialect(using)
    while True:
        try:
            return work()
        except DatabaseError as error:
            if connection.in_atomic_block or not is_conflict(connection, error):
                raise
