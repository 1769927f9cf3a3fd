"""Undoable: a transaction that can fail without the caller's being lost."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from django.db import transaction

from .dialects import open_dialect


def undoable(*, using: str | None = None) -> AbstractContextManager[Any]:
    """Open a transaction, or in the caller's a savepoint: an error in the block undoes the block's writes alone.

    ``dialect.writing`` joins the caller's instead, which costs no statement, and an error that passes through it
    leaves the caller's transaction fit for nothing but a rollback.
    """
    dialect, connection = open_dialect(using)
    if connection.in_atomic_block:
        return transaction.atomic(using=connection.alias)
    return dialect.writing(connection)
