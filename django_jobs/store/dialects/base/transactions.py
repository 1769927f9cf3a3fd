"""The transaction of servers that lock by row."""

from __future__ import annotations

from contextlib import AbstractContextManager

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper


def write_transaction(connection: BaseDatabaseWrapper) -> AbstractContextManager[None]:
    """Open a transaction, or join the caller's without a savepoint."""
    return transaction.atomic(using=connection.alias, savepoint=False)
