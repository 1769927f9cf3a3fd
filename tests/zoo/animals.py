"""Jobs that misbehave, each in one way: ``ANIMALS``, to which ``sessions`` adds what misbehaves towards a database."""

from __future__ import annotations

import asyncio
import contextvars
import decimal
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from datetime import timedelta
from typing import Any

from django.utils import timezone, translation

from django_jobs import Batch, Cancel, Discard, JobDefinition, Retry, Snooze, current_job, job
from django_jobs.context import activate_context

MARK: contextvars.ContextVar[str] = contextvars.ContextVar("mark", default="clean")
ANIMALS: list[JobDefinition[[], Any]] = []


def animal(function: Callable[[], Any], *, atomic: bool = False) -> JobDefinition[[], Any]:
    """Make a job of one attempt, and put it into the zoo."""
    definition = job(max_attempts=1, atomic=atomic, name=f"zoo.{function.__name__}")(function)
    ANIMALS.append(definition)
    return definition


# What they do to their process


@animal
def os_exit() -> None:
    os._exit(3)


@animal
def sys_exit() -> None:
    sys.exit(3)


@animal
def fork_that_returns() -> None:
    """Leave a copy of the process behind, which returns from here, too."""
    os.fork()


@animal
def fork_that_exits() -> None:
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)


@animal
def fork_that_stays() -> None:
    """Leave a child that outlives the job, with all files of its parent."""
    if not os.fork():
        time.sleep(1)
        os._exit(0)


@animal
def process_pool() -> int:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
        return sum(pool.map(abs, range(3)))


@animal
def signal_handlers() -> None:
    """Replace what it can: only the main thread may."""
    with suppress(ValueError):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGALRM, lambda *_: sys.exit(4))
        signal.setitimer(signal.ITIMER_REAL, 0.05)


@animal
def closed_stdout() -> None:
    sys.stdout.close()


# What they do to their thread


@animal
def language() -> None:
    translation.activate("ar")


@animal
def time_zone() -> None:
    timezone.activate("Asia/Kathmandu")


@animal
def decimal_context() -> None:
    decimal.getcontext().prec = 3
    decimal.getcontext().rounding = decimal.ROUND_UP


@animal
def context_variable() -> None:
    MARK.set("dirty")


@animal
async def context_variable_async() -> None:
    MARK.set("dirty")
    translation.activate("ar")
    timezone.activate("Asia/Kathmandu")
    decimal.getcontext().prec = 3


@animal
def open_batch() -> None:
    """Begin a batch and never leave its block."""
    Batch(description="never left").__enter__()


@animal
def foreign_job_context() -> None:
    """Pretend to be this job for as long as the thread lives."""
    activate_context(current_job()).__enter__()


@animal
def threads_left_running() -> None:
    """Leave threads that go on speaking in the name of this job."""
    context = current_job()

    def speak() -> None:
        for number in range(100):
            context.set_progress(number, 100)
            context.log("still here")
            time.sleep(0.01)

    for _ in range(5):
        threading.Thread(target=contextvars.copy_context().run, args=(speak,), daemon=True).start()


@animal
def thread_that_raises() -> None:
    thread = threading.Thread(target=sys.exit, args=("in a thread",))
    thread.start()
    thread.join()


# What they raise


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text for you")

    __repr__ = __str__


class Liar(Exception):
    @property
    def __class__(self) -> type:  # type: ignore[override]
        raise RuntimeError("no class for you")


class Unhashable(Exception):
    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("not to be compared")


class Unpicklable(Exception):
    def __reduce__(self) -> Any:
        raise RuntimeError("not to be sent")


class EmptyRetry(Retry):
    def __init__(self) -> None:
        """Leave out what a Retry is made of."""


class EmptySnooze(Snooze):
    def __init__(self) -> None:
        """Leave out what a Snooze is made of."""


class EmptyDiscard(Discard):
    def __init__(self) -> None:
        """Leave out what a Discard is made of."""


def _raises(name: str, make: Callable[[], BaseException]) -> None:
    def plain() -> None:
        raise make()

    async def on_loop() -> None:
        raise make()

    for function, suffix in ((plain, ""), (on_loop, "_async")):
        function.__name__ = function.__qualname__ = f"raise_{name}{suffix}"
        animal(function)


def _endless_cause() -> Exception:
    first, second = RuntimeError("first"), RuntimeError("second")
    first.__cause__, second.__cause__ = second, first
    return first


def _nonsense_retry() -> Retry:
    retry = Retry(after=timedelta(seconds=1))
    retry.after = "soon"  # type: ignore[assignment]
    return retry


def _nonsense_snooze() -> Snooze:
    snooze = Snooze(timedelta(seconds=1))
    snooze.args = (object(),)
    vars(snooze).update(dict.fromkeys(vars(snooze), "later"))
    return snooze


for _name, _make in {
    "base_exception": lambda: BaseException("base"),
    "keyboard_interrupt": KeyboardInterrupt,
    "system_exit": lambda: SystemExit(object()),
    "generator_exit": GeneratorExit,
    "stop_iteration": StopIteration,
    "stop_async_iteration": StopAsyncIteration,
    "cancelled_error": asyncio.CancelledError,
    "memory_error": MemoryError,
    "unprintable": Unprintable,
    "liar": Liar,
    "unhashable": Unhashable,
    "unpicklable": Unpicklable,
    "group_with_exit": lambda: BaseExceptionGroup("two", [SystemExit(3), ValueError()]),
    "empty_retry": EmptyRetry,
    "empty_snooze": EmptySnooze,
    "empty_discard": EmptyDiscard,
    "nonsense_retry": _nonsense_retry,
    "nonsense_snooze": _nonsense_snooze,
    "cancel": lambda: Cancel("by itself"),
    "endless_cause": _endless_cause,
    "long_text": lambda: ValueError("\x1b[31m\0\ud800😀" * 100_000),
    "long_name": type("E" * 5_000, (Exception,), {}),
}.items():
    _raises(_name, _make)


@animal
def recursion() -> None:
    recursion.function()


@animal
def raise_from_del() -> None:
    class Dying:
        def __del__(self) -> None:
            raise SystemExit("from __del__")

    Dying()


# What they do to the event loop


@animal
async def exit_in_a_task() -> None:
    """End a task that nobody awaits with what would end a program."""
    task = asyncio.create_task(_exit())
    await asyncio.wait([task])


async def _exit() -> None:
    raise SystemExit(3)


@animal
async def task_left_running() -> None:
    asyncio.get_running_loop().create_task(asyncio.sleep(0.3)).set_name("left")


@animal
async def cancel_itself() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(1)


@animal
async def blocked_loop() -> None:
    time.sleep(0.3)  # noqa: ASYNC251 - that is the misdeed


@animal
async def nonsense_exception_handler() -> None:
    asyncio.get_running_loop().set_exception_handler(lambda *_: sys.exit(6))


# What they return and say


@animal
def return_coroutine() -> Any:
    return asyncio.sleep(0)


@animal
def return_generator() -> Iterator[int]:
    return iter(number for number in range(3))


@animal
def return_async_generator() -> AsyncIterator[int]:
    async def numbers() -> AsyncIterator[int]:
        yield 1

    return numbers()


def _returns(name: str, make: Callable[[], Any]) -> None:
    def returns() -> Any:
        return make()

    returns.__name__ = returns.__qualname__ = f"return_{name}"
    animal(returns)


def _circle() -> list[Any]:
    circle: list[Any] = []
    circle.append(circle)
    return circle


class BrokenDict(dict[str, int]):
    def items(self) -> Any:
        raise SystemExit("no items for you")

    __iter__ = items


for _name, _value in {
    "object": object,
    "nan": lambda: float("nan"),
    "much": lambda: "x" * 5_000_000,
    "surrogate": lambda: "\ud800\0",
    "long_number": lambda: 10**5_000,
    "circle": _circle,
    "broken_dict": lambda: BrokenDict(a=1),
    "exception": lambda: SystemExit(3),
    "tag": lambda: {"$type": "sorcery"},
}.items():
    _returns(_name, _value)


def _says(name: str, say: Callable[[], object]) -> None:
    def says() -> None:
        say()

    says.__name__ = says.__qualname__ = f"say_{name}"
    animal(says)


for _name, _say in {
    "percent": lambda: current_job().set_progress("50%", 100),  # type: ignore[arg-type]
    "nan": lambda: current_job().set_progress(float("nan"), 100),  # type: ignore[arg-type]
    "infinity": lambda: current_job().set_progress(1, float("inf")),  # type: ignore[arg-type]
    "large_number": lambda: current_job().set_progress(2**70, 2**80),
    "negative": lambda: current_job().set_progress(-5, -1),
    "message": lambda: current_job().set_progress(1, 2, "\0\ud800😀" * 1_000),
    "bytes": lambda: current_job().set_progress(1, 2, b"bytes"),  # type: ignore[arg-type]
    "log": lambda: current_job().log("\x1b[2J\n\0\ud800" * 1_000),
    "metadata": lambda: (current_job().metadata.update(self=current_job()), current_job().save_metadata()),
    "no_metadata": lambda: (setattr(current_job(), "metadata", None), current_job().save_metadata()),
}.items():
    _says(_name, _say)
