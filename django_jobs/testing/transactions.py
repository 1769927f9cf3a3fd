"""End a run in a test's own transactions as a worker would: keep or roll back its writes, call its callbacks.

::

    test         begin ------------------------------------------------------------- rollback
    run                savepoint - function ........................... - release
    each callback                  where autocommit would call it:
                                   savepoint - callback - release

A savepoint is opened on every connection that is in a transaction of the test, which the work cannot close. On one in
autocommit mode the work commits by itself, as in a worker.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from django.db import DatabaseError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from .autocommit import Autocommit, Callback, PendingCallbacks, logger


class Unit:
    """The work of one run or callback. After it, ``callbacks`` has what it gave to ``on_commit`` and is still to call.

    ``is_rolled_back``: a database error, which the work may have caught, has broken a transaction of the test.
    """

    def __init__(self) -> None:
        self.callbacks: list[Callback] = []
        self.is_rolled_back = False

    def leave(self, blocks: Sequence[_Block]) -> None:
        """End the work on all connections."""
        for block in reversed(blocks):
            self.is_rolled_back |= not block.leave()
        for block in blocks:
            self.callbacks += block.callbacks.take()


@contextmanager
def unit_of_work() -> Iterator[Unit]:
    """Do the block's work in savepoints of its own on this thread's connections."""
    unit = Unit()
    blocks = [_Block(connection) for connection in connections.all(initialized_only=True)]
    try:
        yield unit
    finally:
        unit.leave(blocks)


@contextmanager
def collect_callbacks() -> Iterator[list[Callback]]:
    """Yield a list that has, after the block, the callbacks that were given to ``on_commit`` in it."""
    callbacks: list[Callback] = []
    pending = [PendingCallbacks(connection) for connection in connections.all(initialized_only=True)]
    yield callbacks
    for of_connection in pending:
        callbacks += of_connection.take()


def run_callbacks(callbacks: Sequence[Callback]) -> None:
    """Call callbacks as a commit does: in their order, each with the callbacks that it registers itself.

    Raises what a callback raises that is not robust; those behind it are not called.
    """
    for callback in callbacks:
        with unit_of_work() as unit:
            callback.call()
        run_callbacks(unit.callbacks)


class _LeftOpenError(Exception):
    """Ends a transaction that was left open."""


class _Block:
    """A savepoint on a connection that is in a transaction of the test; nothing on one in autocommit mode."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.callbacks = PendingCallbacks(connection)
        self._connection = connection
        self._savepoint = transaction.atomic(using=connection.alias) if connection.in_atomic_block else None
        self._autocommit = Autocommit(connection, self.callbacks, run_callbacks)
        if self._savepoint is not None:
            self._savepoint._from_testcase = True  # type: ignore[attr-defined]  # noqa: SLF001 - allows durable blocks
            self._savepoint.__enter__()
            self._autocommit.start()
        self._depth = len(connection.atomic_blocks)

    def leave(self) -> bool:
        """Release the savepoint; return False if the transaction was broken and the work is rolled back."""
        connection = self._connection
        self._end_open_blocks()
        if self._savepoint is None:
            return True
        self._autocommit.stop()
        is_broken = connection.needs_rollback
        try:
            self._savepoint.__exit__(None, None, None)
        except DatabaseError:  # the savepoint could not be released, and Django has rolled back to it
            is_broken = True
        return not is_broken

    def _end_open_blocks(self) -> None:
        """Roll back blocks that the work has entered and not left, as a worker does."""
        connection, is_reported = self._connection, False
        while len(connection.atomic_blocks) > self._depth:
            if not is_reported:
                is_reported = True
                logger.warning("a job left a transaction open on %r; it is rolled back", connection.alias)
            connection.atomic_blocks[-1].__exit__(_LeftOpenError, _LeftOpenError(), None)
        if self._savepoint is None and connection.connection is not None and not connection.get_autocommit():
            connection.rollback()
            connection.set_autocommit(True)
