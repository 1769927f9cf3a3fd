"""Have a connection call ``on_commit`` callbacks where autocommit mode would, although a test's transaction is open.

Django calls a callback at once if no transaction is open, and otherwise when the outermost block has committed. In a
savepoint of the test that is: at once if the work has no block open, and otherwise when its outermost block has ended.
So a callback sees the current job, ``HOOKS`` and context variables, and its error is raised where a worker raises it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from django.db.backends.base.base import BaseDatabaseWrapper

from ..store import transactions as engine_transactions

logger = logging.getLogger("django_jobs.testing")


class Callback(NamedTuple):
    """A function given to ``on_commit``. ``is_robust``: its error is logged and stops no other callback."""

    function: Callable[[], object]
    is_robust: bool

    def call(self) -> None:
        """Call the function."""
        if not self.is_robust:
            self.function()
            return
        try:
            self.function()
        except Exception:
            name = getattr(self.function, "__qualname__", "a callback")
            logger.exception("%s, a robust callback of on_commit, failed", name)


class PendingCallbacks:
    """The callbacks that are given to ``on_commit`` of one connection from now on, in the test's transaction."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self._connection = connection
        self._known = len(connection.run_on_commit)

    def take(self) -> list[Callback]:
        """Remove them from the connection, so that nobody calls them twice, and return them in their order."""
        registered: list[Any] = self._connection.run_on_commit
        new = [Callback(function, is_robust) for _, function, is_robust in registered[self._known :]]
        del registered[self._known :]
        return new


class Autocommit:
    """Replaces methods of a connection between ``start`` and ``stop``, while a savepoint of the test is open.

    ``call`` calls callbacks, each as work of its own. A block that was opened with ``savepoint=False`` does not tell
    its end, and the engine's own callbacks may belong to one: they wait for the next callback or block, or the end of
    the work.
    """

    def __init__(
        self, connection: BaseDatabaseWrapper, pending: PendingCallbacks, call: Callable[[Sequence[Callback]], None]
    ) -> None:
        self._connection = connection
        self._class = type(connection)
        self._pending = pending
        self._call = call
        self._released: set[str] = set()
        self._replaced: dict[str, Any] = {}

    def start(self) -> None:
        """Replace the methods; the savepoint of the test is the innermost."""
        self._depth = len(self._connection.savepoint_ids)
        methods = self._connection.__dict__
        for method in (self.close, self.on_commit, self.savepoint_commit, self.savepoint_rollback):
            self._replaced[method.__name__] = methods.get(method.__name__)
            methods[method.__name__] = method

    def stop(self) -> None:
        """Put the methods back."""
        methods = self._connection.__dict__
        for name, method in self._replaced.items():
            if method is None:
                del methods[name]
            else:
                methods[name] = method

    def close(self) -> None:
        """Keep the connection open: with it the test's transaction would end."""

    def on_commit(self, func: Callable[[], object], robust: bool = False) -> None:
        """Call a callback at once if the work has no block open; else register it."""
        self._class.on_commit(self._connection, func, robust)
        if not (self._is_in_block() or self._connection.needs_rollback or _is_of_engine(func)):
            self._call(self._pending.take())

    def savepoint_commit(self, sid: str) -> None:
        """Release a savepoint; after the outermost of the work, call the callbacks."""
        if sid in self._released:
            return
        self._class.savepoint_commit(self._connection, sid)
        if not self._is_in_block():
            self._released.add(sid)
            self._call(self._pending.take())

    def savepoint_rollback(self, sid: str) -> None:
        """Roll back to a savepoint, unless it is released and Django wants to because a callback has failed."""
        if sid not in self._released:
            self._class.savepoint_rollback(self._connection, sid)

    def _is_in_block(self) -> bool:
        return len(self._connection.savepoint_ids) > self._depth


def _is_of_engine(function: Callable[[], object]) -> bool:
    return getattr(function, "__module__", None) == engine_transactions.__name__
