"""Call a job's function inside the hooks that surround runs, as if they were ``with`` blocks around its body.

They are entered in the thread or task of the function, within its time limit, and in its transaction if it is atomic.
An exception that a hook raises becomes the run's; one that it suppresses is raised all the same.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any

from ...hooks import AroundHook, no_manager
from ...log_records import log_job
from ...policy.error_text import class_text
from ..system.forked_copies import end_copy_since
from .errors import describe_exception
from .runtime import Run

logger = logging.getLogger("django_jobs.worker")


def call_inside(hooks: Sequence[AroundHook], run: Run) -> Any:
    """Call the function inside ``hooks``, the outermost first, and return its value."""
    if hooks:
        with _Around(hooks[0], hooks[0].around(run.job), run):
            return call_inside(hooks[1:], run)
    try:
        return run.definition.function(*run.args, **run.kwargs)
    finally:
        end_copy_since(run.forks)


async def acall_inside(
    hooks: Sequence[AroundHook], run: Run, reason_of: Callable[[BaseException], BaseException]
) -> Any:
    """Await the function inside ``hooks``, which see ``reason_of`` its exception: no CancelledError after a timeout."""
    if hooks and hooks[0].aaround is not None:
        async with _AsyncAround(hooks[0], hooks[0].aaround(run.job), run):
            return await acall_inside(hooks[1:], run, reason_of)
    if hooks:
        with _Around(hooks[0], hooks[0].around(run.job), run):
            return await acall_inside(hooks[1:], run, reason_of)
    try:
        return await run.definition.coroutine_function(*run.args, **run.kwargs)
    except BaseException as error:
        if (reason := reason_of(error)) is error:
            raise
        raise reason from None
    finally:
        end_copy_since(run.forks)


class _Around:
    """The context manager that a hook returns, which cannot suppress an exception."""

    __slots__ = ("_hook", "_manager", "_run")

    def __init__(self, hook: AroundHook, manager: Any, run: Run) -> None:
        if not isinstance(manager, AbstractContextManager):
            raise no_manager(hook.path, "around", manager)
        self._hook = hook
        self._manager: Any = manager
        self._run = run

    def __enter__(self) -> None:
        self._manager.__enter__()

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if self._manager.__exit__(kind, error, traceback) and error is not None:
            _report_suppressed(self._hook, self._run, error)


class _AsyncAround:
    """The same with ``aaround``."""

    __slots__ = ("_hook", "_manager", "_run")

    def __init__(self, hook: AroundHook, manager: Any, run: Run) -> None:
        if not isinstance(manager, AbstractAsyncContextManager):
            raise no_manager(hook.path, "aaround", manager)
        self._hook = hook
        self._manager: Any = manager
        self._run = run

    async def __aenter__(self) -> None:
        await self._manager.__aenter__()

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if await self._manager.__aexit__(kind, error, traceback) and error is not None:
            _report_suppressed(self._hook, self._run, error)


def _report_suppressed(hook: AroundHook, run: Run, error: BaseException) -> None:
    suppressed = class_text(describe_exception(error, job_name=run.claim.name).error_class)
    text = "failed all the same: hook %s suppressed the exception %s; raise it again in the hook"
    log_job(logger, logging.WARNING, run.claim, text, hook.path, suppressed)
