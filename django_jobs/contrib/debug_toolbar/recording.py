"""The hook that records enqueues for the request that makes them, in whichever thread, and the code that did."""

from __future__ import annotations

import asyncio
import contextlib
import linecache
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from debug_toolbar.utils import get_stack_trace

from ...hooks import Insertion, add_hook

PACKAGE = str(Path(__file__).parents[2])
HIDDEN = (PACKAGE, contextlib.__file__)

Frames = list[tuple[Any, ...]]
"""Of each its file, line, function, source and local variables, the innermost last."""


@dataclass(slots=True)
class Recorded:
    """One enqueue: how long it took, where it was called, and what it raised."""

    insertion: Insertion
    frames: Frames
    seconds: float = 0.0
    error: str = ""


@dataclass(slots=True)
class Recording:
    """The enqueues of one request. ``task``: of a request that is answered by asynchronous code."""

    task: asyncio.Task[Any] | None
    enqueues: list[Recorded] = field(default_factory=list)


_recording: ContextVar[Recording | None] = ContextVar("django_jobs_debug_toolbar", default=None)


class RecordingHook:
    """Records where a request is being recorded, and does nothing elsewhere."""

    def around_enqueue(self, insertion: Insertion) -> AbstractContextManager[None]:
        """Record an enqueue."""
        recording = _recording.get()
        return nullcontext() if recording is None else _recorded(insertion, recording)


_hooks: list[RecordingHook] = []


def install() -> None:
    """Add the hook, once in a process."""
    if not _hooks:
        _hooks.append(RecordingHook())
        add_hook(_hooks[0])


def start_recording() -> Recording:
    """Record the enqueues of this context, and of the threads that it hands work to."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        task = None
    recording = Recording(task)
    _recording.set(recording)
    return recording


def stop_recording() -> None:
    """Record no more."""
    _recording.set(None)


@contextmanager
def _recorded(insertion: Insertion, recording: Recording) -> Iterator[None]:
    recorded = Recorded(insertion, _frames(recording))
    recording.enqueues.append(recorded)
    started = time.perf_counter()
    try:
        yield
    except BaseException as error:
        recorded.error = type(error).__name__
        raise
    finally:
        recorded.seconds = time.perf_counter() - started


def _frames(recording: Recording) -> Frames:
    """Return the code that enqueues. Behind ``aenqueue``, which uses a thread, it is the task that waits."""
    stack: Frames = get_stack_trace()  # type: ignore[no-untyped-call]
    found = [frame[:4] + (None,) for frame in stack if not frame[0].startswith(HIDDEN)]  # local variables may be secret
    if recording.task is not None and found:
        awaiting = [frame for frame in _awaiting(recording.task) if not frame[0].startswith(HIDDEN)]
        if awaiting and not _has_task_running(recording.task):
            return awaiting
    return found


def _has_task_running(task: asyncio.Task[Any]) -> bool:
    """Tell whether this code runs in the task itself: then the stack is that of this thread."""
    try:
        return asyncio.current_task() is task
    except RuntimeError:
        return False


def _awaiting(task: asyncio.Task[Any]) -> Frames:
    frames: Frames = []
    waiting: Any = task.get_coro()
    while waiting is not None:
        frame = getattr(waiting, "cr_frame", None) or getattr(waiting, "gi_frame", None)
        if isinstance(frame, FrameType):
            code = frame.f_code
            line = linecache.getline(code.co_filename, frame.f_lineno).strip()
            frames.append((code.co_filename, frame.f_lineno, code.co_name, line, None))
        waiting = getattr(waiting, "cr_await", None) or getattr(waiting, "gi_yieldfrom", None)
    return frames
