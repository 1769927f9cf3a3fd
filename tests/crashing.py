"""Die by SIGKILL between any two database statements: a forked process that counts them."""

from __future__ import annotations

import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from django.db import connection, connections


def crash_at_every_point(prepare: Callable[[], Any], act: Callable[[Any], object]) -> Iterator[tuple[int, Any]]:
    """Yield after each crash: the number of statements that were done, and what ``prepare`` made anew for it.

    In turn ``act`` runs in a process that is killed before its first statement or commit, before its second, and
    so on; the last turn, in which it came to its end, is yielded too.
    """
    for point in range(1000):
        prepared = prepare()
        died = _run_and_die(point, lambda prepared=prepared: act(prepared))
        yield point, prepared
        if not died:
            return
    raise AssertionError("the verb makes more than 1,000 statements")


def _run_and_die(point: int, act: Callable[[], object]) -> bool:
    """Run ``act`` in a child that dies before statement ``point`` (from 0) and tell whether it got so far."""
    connections.close_all()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # no thread of ours is under way
        child = os.fork()
    if child == 0:
        _be_the_child(point, act)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.waitstatus_to_exitcode(status) == 0, "the verb failed; its traceback is above"
    return False


def _be_the_child(point: int, act: Callable[[], object]) -> None:
    """Never returns."""
    try:
        connection.ensure_connection()
        left = point

        def pass_or_die() -> None:
            nonlocal left
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1

        def statement(execute: Callable[..., Any], *arguments: Any) -> Any:
            pass_or_die()
            return execute(*arguments)

        commit = connection.commit

        def counted_commit() -> None:
            pass_or_die()
            commit()

        connection.commit = counted_commit  # type: ignore[method-assign]
        with connection.execute_wrapper(statement):
            act()
    except BaseException:  # noqa: BLE001 - a child must not go on as if it were pytest
        traceback.print_exc(file=sys.__stderr__)
        os._exit(1)
    os._exit(0)
