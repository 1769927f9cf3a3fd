"""Odd ways to end a job: exceptions that lie, raise when they are looked at, or are no Exception at all."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any, NoReturn

from django_jobs import Cancel, Discard, Retry, Snooze, job
from django_jobs.exceptions import JobTimeoutError, RateLimited


def _bare(base: type[Exception]) -> type[Exception]:
    """Return a subclass that forgets ``super().__init__()``."""
    return type(f"Bare{base.__name__}", (base,), {"__init__": lambda self: None})


def _with(error: BaseException, **attributes: object) -> BaseException:
    for name, value in attributes.items():
        setattr(error, name, value)
    return error


def _raising(error: BaseException) -> Callable[..., NoReturn]:
    def fail(*_: object) -> NoReturn:
        raise error

    return fail


def _odd(base: type[BaseException] = Exception, **members: Any) -> type[BaseException]:
    return type("Odd", (base,), members)


class _Text(str):
    """Text that breaks whoever works with it."""

    replace = encode = strip = __str__ = __getitem__ = _raising(SystemExit())  # type: ignore[assignment]
    __reduce__ = _raising(RuntimeError())  # type: ignore[assignment]


class _Wait(timedelta):
    __reduce__ = total_seconds = __lt__ = __gt__ = _raising(SystemExit())  # type: ignore[assignment]


class _BrokenKind(type):
    def __getattribute__(cls, name: str) -> Any:
        raise SystemExit(name)

    __instancecheck__ = __subclasscheck__ = __eq__ = _raising(KeyboardInterrupt())  # type: ignore[assignment]
    __hash__ = type.__hash__


class BrokenKindError(Exception, metaclass=_BrokenKind):
    """Its class cannot be asked anything."""


def _chain(length: int) -> BaseException:
    error: BaseException = ValueError(0)
    for number in range(1, length):
        error = _with(ValueError(number), __cause__=error)
    return error


def _circle() -> BaseException:
    one, other = ValueError(1), ValueError(2)
    one.__cause__, other.__cause__ = other, one
    return one


_exit = SystemExit("stop")
_Silent = _odd(__getattribute__=_raising(_exit))

ODD: dict[str, Callable[[], BaseException]] = {
    "bare retry": _bare(Retry),
    "bare snooze": _bare(Snooze),
    "bare rate limited": _bare(RateLimited),
    "bare discard": _bare(Discard),
    "bare cancel": _bare(Cancel),
    "retry after text": lambda: _with(Retry(), after="soon"),
    "retry after nan": lambda: _with(Retry(), after=float("nan")),
    "retry in the past": lambda: _with(Retry(), after=timedelta(-1)),
    "retry after a subclass": lambda: Retry(after=_Wait(seconds=60)),
    "retry after something raises": _odd(Retry, after=property(_raising(_exit))),
    "snooze for nothing": lambda: _with(Snooze(1), delay=None),
    "snooze for an object": lambda: _with(Snooze(1), delay=object()),
    "snooze for ever": lambda: _with(Snooze(1), delay=10**400),
    "snooze by a subclass": lambda: _with(Snooze(1), delay=_Wait(seconds=60)),
    "snooze raises": _odd(Snooze, delay=property(_raising(_exit)), __init__=lambda self: None),
    "says it is a snooze": _odd(__class__=property(lambda self: Snooze)),
    "says it is a timeout": _odd(__class__=property(lambda self: JobTimeoutError)),
    "class raises": _odd(__class__=property(_raising(RuntimeError("mine")))),
    "class exits": _odd(__class__=property(_raising(_exit))),
    "str raises": _odd(__str__=_raising(RuntimeError("mine"))),
    "str exits": _odd(__str__=_raising(_exit)),
    "str interrupts": _odd(__str__=_raising(KeyboardInterrupt())),
    "str is no text": _odd(__str__=lambda self: 7),
    "str is odd text": _odd(__str__=lambda self: _Text("odd")),
    "repr exits": _odd(__repr__=_raising(_exit)),
    "equality exits": _odd(__eq__=_raising(_exit), __hash__=None),
    "hash exits": _odd(__hash__=_raising(_exit)),
    "truth exits": _odd(__bool__=_raising(_exit), __len__=_raising(_exit)),
    "traceback raises": _odd(__traceback__=property(_raising(RuntimeError("mine")))),
    "traceback is a number": _odd(__traceback__=7),
    "cause exits": _odd(__cause__=property(_raising(_exit))),
    "context is text": _odd(__context__="text", __suppress_context__=""),
    "notes exit": _odd(__notes__=property(_raising(_exit))),
    "pickle raises": _odd(__reduce_ex__=_raising(RuntimeError("mine"))),
    "nothing may be asked": _Silent,
    "its class may not be asked": BrokenKindError,
    "no module": _odd(__module__=None),
    "odd name": type("Odd", (Exception,), {"__qualname__": _Text("Odd\ud800")}),
    "a timeout of its own": JobTimeoutError,
    "exit": lambda: SystemExit(_odd(__str__=_raising(_exit))()),
    "interrupt": KeyboardInterrupt,
    "generator exit": GeneratorExit,
    "cancelled": asyncio.CancelledError,
    "asyncio's timeout": TimeoutError,
    "stop": StopIteration,
    "stop async": StopAsyncIteration,
    "base": _odd(BaseException),
    "a group of exits": lambda: BaseExceptionGroup("group", [SystemExit(1), KeyboardInterrupt()]),
    "a group": lambda: ExceptionGroup("group", [Retry(after=1), Snooze(1)]),
    "out of memory": MemoryError,
    "wrong unicode": lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "\ud800\0"),
    "syntax": lambda: SyntaxError("text", ("file", -1, 10**9, _Text("odd"))),
    "a long chain": lambda: _chain(5_000),
    "a circle": _circle,
}
"""What a job may raise, by name; each is made when it is raised."""


def _break(name: str) -> NoReturn:
    error = ODD[name]()
    raise error


@job(max_attempts=2, retry_on=(Exception, BrokenKindError), discard_on=())
def raise_odd(name: str) -> None:
    """Raise one of ``ODD``."""
    _break(name)


@job(max_attempts=2)
async def raise_odd_async(name: str) -> None:
    """Raise one of ``ODD`` on the event loop."""
    _break(name)


@job(max_attempts=2)
async def raise_odd_in_a_task(name: str) -> None:
    """Raise one of ``ODD`` in a task of the job's own, which the job awaits."""

    async def fail() -> None:
        _break(name)

    await asyncio.create_task(fail())


class _OddValue:
    """A result that ends the process of whoever looks at it."""

    __class__ = property(_raising(_exit))  # type: ignore[assignment]


@job
def return_odd() -> Any:
    return _OddValue()


@job(backoff=lambda exception, context: sys.exit("no backoff"), max_attempts=2)
def exit_in_backoff() -> None:
    raise RuntimeError("with a backoff that exits")


@job
async def stop_the_loop(how: str) -> str:
    """Do to the loop what only its owner may, and return."""
    loop = asyncio.get_running_loop()
    match how:
        case "stop":
            loop.stop()
        case "exit later":
            loop.call_soon(sys.exit)
        case "forgotten task":
            task = loop.create_task(asyncio.to_thread(str))
            task.add_done_callback(sys.exit)
            await task
        case "cancel myself":
            asyncio.current_task().cancel()  # type: ignore[union-attr]  # there is one
    if how != "cancel myself":
        await asyncio.sleep(0)
    return how


@job(max_attempts=1)
async def cancel_all_others() -> None:
    """Cancel every other task of the loop, as ``asyncio.run`` does at its end."""
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
