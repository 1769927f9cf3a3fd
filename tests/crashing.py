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

from .concurrency import wait_until

SESSION = {
    "postgresql": "SELECT count(*) FROM pg_stat_activity WHERE pid = %s",
    "mysql": "SELECT count(*) FROM information_schema.processlist WHERE id = %s",
}
"""Whether a session is there: the server rolls back what a killed client left when it notices, not before."""


def crash_at_every_point(
    prepare: Callable[[], Any], act: Callable[[Any], object], *, step: int = 1
) -> Iterator[tuple[int, Any]]:
    """Yield after each crash: the number of statements that were done, and what ``prepare`` made anew for it.

    In turn ``act`` runs in a process that is killed before its first statement or commit, before its second, and
    so on; the last turn, in which it came to its end, is yielded too. ``step``: of each so many points take one.
    """
    for point in range(0, 1000, step):
        prepared = prepare()
        died = _run_and_die(point, lambda prepared=prepared: act(prepared))
        yield point, prepared
        if not died:
            return
    raise AssertionError("the verb makes more than 1,000 statements")


def crash_by_itself(act: Callable[[], object]) -> None:
    """Run ``act``, which kills itself, in a process of its own."""
    assert _run_and_die(1_000, act), "it came to its end"


def _run_and_die(point: int, act: Callable[[], object]) -> bool:
    """Run ``act`` in a child that dies before statement ``point`` (from 0) and tell whether it got so far."""
    connections.close_all()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # no thread of ours is under way
        told, telling = os.pipe()
        child = os.fork()
    if child == 0:
        _be_the_child(point, act, telling)
    os.close(telling)
    with open(told, "rb") as pipe:  # noqa: PTH123 - of a descriptor
        session = int(pipe.read() or 0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        if session:
            wait_until(lambda: not _is_there(session), "the server to end the session of the killed process")
        return True
    assert os.waitstatus_to_exitcode(status) == 0, "the verb failed; its traceback is above"
    return False


def _is_there(session: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(SESSION[connection.vendor], [session])
        return bool(cursor.fetchone()[0])


def _number_of_session() -> int:
    """Return the server's number of this process's session; 0 on SQLite, which has no server."""
    driver: Any = connection.connection
    if connection.vendor == "sqlite":
        return 0
    return int(driver.info.backend_pid if connection.vendor == "postgresql" else driver.thread_id())


def _be_the_child(point: int, act: Callable[[], object], telling: int) -> None:
    """Never returns. ``telling``: the end of a pipe to which it writes the number of its session."""
    try:
        connection.ensure_connection()
        os.write(telling, str(_number_of_session()).encode())
        os.close(telling)
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
