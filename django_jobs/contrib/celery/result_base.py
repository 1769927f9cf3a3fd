"""Base of the results of tasks and of groups: ``get()``, which waits for the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NoReturn

from django.db import connections

from ...conf.database import current_database
from .exceptions import ChordError, TimeoutError, UnsupportedError
from .request import current

_MIN_PAUSE, _MAX_PAUSE = 0.005, 0.5
_may_join: ContextVar[bool] = ContextVar("django_jobs_celery_may_join", default=False)


class ResultBase:
    """Base of the results of tasks and of groups."""

    parent: ResultBase | None = None
    is_group = False

    def get(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        interval: float = _MAX_PAUSE,
        callback: Callable[[str, Any], object] | None = None,
        disable_sync_subtasks: bool = True,
        **ignored: Any,
    ) -> Any:
        """Wait for the end and return the result; polls the database.

        Raises the task's exception unless ``propagate`` is false, TimeoutError after ``timeout`` seconds, RuntimeError
        inside a task, and in a transaction without a timeout: it would never see the end.
        """
        if disable_sync_subtasks and not _may_join.get() and current() is not None:
            raise RuntimeError(
                "never call result.get() within a task: it would wait in a worker's thread for a job that may need it;"
                " use a chain or a chord, or allow_join_result()"
            )
        self.await_end(timeout, interval, propagate=propagate)
        return self.collect(propagate=propagate, callback=callback)

    wait = get

    def ready(self) -> bool:
        """Tell whether it has ended."""
        raise NotImplementedError

    def then(self, callback: Any, *args: Any, **kwargs: Any) -> NoReturn:
        """Raise UnsupportedError."""
        raise UnsupportedError("result.then() is not supported: use a chain, or the signal job_succeeded")

    def collect(self, *, propagate: bool, callback: Callable[[str, Any], object] | None) -> Any:
        """Return the result of what has ended."""
        raise NotImplementedError

    def await_end(self, timeout: float | None, interval: float, *, propagate: bool) -> None:
        """Return when it has ended. Raises as ``get``; with ``propagate`` also the error of a step before it."""
        deadline = None if timeout is None else time.monotonic() + timeout
        pause = _MIN_PAUSE
        while not self.ready():
            if propagate:
                self._raise_of_parents()
            if deadline is None:
                _refuse_in_transaction()
            elif (left := deadline - time.monotonic()) <= 0:
                raise TimeoutError("The operation timed out.")
            else:
                pause = min(pause, left)
            time.sleep(pause)
            pause = min(pause * 1.5, max(interval, _MIN_PAUSE))

    def _raise_of_parents(self) -> None:
        """Raise the exception of a step before this one: a dead step blocks those after it."""
        parent = self.parent
        while parent is not None:
            try:
                parent.raise_failure()
            except Exception as error:
                if parent.is_group:
                    raise ChordError(f"a task of the header failed: {error!r}") from error
                raise
            parent = parent.parent

    def raise_failure(self) -> None:
        """Raise the exception that it has ended with, if it has."""
        raise NotImplementedError


@contextmanager
def allow_join_result() -> Iterator[None]:
    """Allow ``get()`` inside a task, within the block."""
    token = _may_join.set(True)
    try:
        yield
    finally:
        _may_join.reset(token)


def _refuse_in_transaction() -> None:
    if connections[current_database()].in_atomic_block:
        raise RuntimeError(
            "result.get() in a transaction would wait for ever: no worker sees the job before the commit; call it after"
            " the block, give a timeout, or in a test call django_jobs.testing.drain() first"
        )
