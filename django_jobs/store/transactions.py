"""Transactions: retry after a conflict, a savepoint in the caller's, work after its commit, reads past its snapshot."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, TypeVar

from django.db import DatabaseError, connections, transaction
from django.db.models import Model, QuerySet

from .dialects import is_conflict, open_dialect

logger = logging.getLogger("django_jobs.store")

M = TypeVar("M", bound=Model)
T = TypeVar("T")


def retry_on_conflict(work: Callable[[], T], *, using: str | None = None) -> T:
    """Return the result of ``work``, one transaction; repeat it as long as the server rolls it back for a conflict.

    Each time another transaction was faster, so there is always progress. InnoDB has such conflicts by design: if the
    first to insert a key is rolled back, two that waited for it both lock the gap that it leaves, and each waits
    for the other to insert there (MySQL manual, "Locks Set by Different SQL Statements").

    In a caller's transaction the error is raised to the caller, whose whole transaction was rolled back.
    """
    _, connection = open_dialect(using)
    while True:
        try:
            return work()
        except DatabaseError as error:
            if connection.in_atomic_block or not is_conflict(connection, error):
                raise


def savepoint(*, using: str | None = None) -> AbstractContextManager[Any]:
    """Open a transaction, or a savepoint in the caller's: an error in the block rolls back the block's writes alone.

    ``dialect.write_transaction`` joins the caller's transaction instead. That costs no statement, but after an error in
    it the caller can only roll back.
    """
    dialect, connection = open_dialect(using)
    if connection.in_atomic_block:
        return transaction.atomic(using=connection.alias)
    return dialect.write_transaction(connection)


def after_commit(work: Callable[[], object], *, using: str) -> None:
    """Call ``work`` once the caller's transaction has committed, at once if there is none.

    Its error is logged: what the caller did is committed, and the callbacks behind this one are called. All of the
    engine's callbacks are registered here, and Django gets a plain function: with ``robust=True`` it logs the name of
    one that raises, which a ``functools.partial`` does not have (Django 5.2).

    With autocommit off Django takes callbacks in atomic blocks only, and calls them once autocommit is on again.
    """

    def run_after_commit() -> None:
        try:
            work()
        except Exception:
            name = getattr(work.func if isinstance(work, partial) else work, "__qualname__", "a callback")
            logger.warning("%s failed after a commit on %r; workers make up for it", name, using, exc_info=True)

    connection = connections[using]
    is_manual = not connection.in_atomic_block and not connection.get_autocommit()
    with transaction.atomic(using=using, savepoint=False) if is_manual else nullcontext():
        transaction.on_commit(run_after_commit, using=using, robust=True)


def read_latest(rows: QuerySet[M]) -> M | None:
    """Return the newest committed version of the one row, or None, also if the transaction's snapshot is older.

    If only a locking read sees it, the row stays locked until the commit.
    """
    found = list(latest_rows(rows)[:1])
    return found[0] if found else None


def latest_rows(rows: QuerySet[M]) -> QuerySet[M]:
    """Return ``rows`` so that the newest committed ones are read, if need be by a locking read."""
    dialect, connection = open_dialect(rows.db)
    return rows if dialect.keys.sees_latest(connection) else rows.select_for_update()
