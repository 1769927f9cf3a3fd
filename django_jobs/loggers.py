"""Make the engine's loggers robust: control characters are escaped, and what a handler raises reaches no run.

An error's message must not forge a line or drive a terminal, a handler that fails must not end a run or a thread of the
worker, and a project's record factory may set the fields that records about jobs have. The loggers do this themselves,
so it holds for every handler and formatter.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping
from numbers import Number
from types import TracebackType
from typing import Any

from .exceptions import Cancel, JobTimeoutError
from .policy.printable import printable, printable_lines
from .policy.truncate import truncate

LOGGERS = tuple(
    f"django_jobs.{part}"
    for part in (
        "admin",
        "brokers",
        "celery",
        "enqueue",
        "mail",
        "results",
        "scheduler",
        "store",
        "tasks",
        "testing",
        "web",
        "worker",
    )
)

MAX_TEXT_LENGTH = 50_000
"""Of a message, or of one of its arguments."""
MAX_TRACEBACK_LENGTH = 50_000


def harden_loggers() -> None:
    """Have the engine's loggers escape what they log, and keep what handlers raise to themselves. May be repeated."""
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.addFilter(_FILTER)
        kind = type(logger)  # the project's own, if it has called logging.setLoggerClass
        if not issubclass(kind, _SturdyLogger):
            logger.__class__ = type(f"Sturdy{kind.__name__}", (_SturdyLogger, kind), {})


class _SturdyLogger(logging.Logger):
    """A logger whose callers never fail by it: a run that has succeeded must not fail because a log server is down."""

    def makeRecord(  # noqa: N802 - as in logging
        self,
        name: str,
        level: int,
        fn: str,
        lno: int,
        msg: object,
        args: Any,
        exc_info: Any,
        func: str | None = None,
        extra: Mapping[str, object] | None = None,
        sinfo: str | None = None,
    ) -> logging.LogRecord:
        """Add the fields of ``extra`` to those of the project's record factory; a known value wins over None."""
        record = super().makeRecord(name, level, fn, lno, msg, args, exc_info, func, None, sinfo)
        for field, value in (extra or {}).items():
            if value is not None or field not in record.__dict__:
                record.__dict__[field] = value
        return record

    def handle(self, record: logging.LogRecord) -> None:
        """Pass the record to the handlers; what one raises goes to stderr, as what Python's own handlers raise."""
        try:
            super().handle(record)
        except (JobTimeoutError, Cancel):  # raised in the job from outside: they end the job
            raise
        except Exception:  # noqa: BLE001 - a handler may raise anything
            _REPORTER.handleError(record)


_REPORTER = logging.Handler()


class _EscapeFilter(logging.Filter):
    """Escapes the arguments of a record, its message, and its traceback if that has anything to escape."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let the record pass."""
        if isinstance(record.args, Mapping):
            record.args = {name: _escaped(value) for name, value in record.args.items()}
        elif record.args:
            record.args = tuple(_escaped(value) for value in record.args)
        elif isinstance(record.msg, str):
            record.msg = _shown(record.msg)
        if record.exc_info and record.exc_info[1] is not None:
            text = _traceback(record.exc_info[1], record.exc_info[2])
            # Left to the formatter if there is nothing to change: a project's may have a form of its own.
            if text is not None:
                record.exc_text = text
        return True


_FILTER = _EscapeFilter()


class _Printable:
    """Any other object, whose texts are escaped when a handler writes the record."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value

    def __str__(self) -> str:
        return _shown(str(self.value))

    def __repr__(self) -> str:
        return _shown(repr(self.value))


def _shown(text: str) -> str:
    """Return a text on one line, cut before it is escaped: that takes seconds for one of many megabytes."""
    return printable(truncate(text, MAX_TEXT_LENGTH, around=" "))


def _escaped(value: Any) -> Any:
    """Return an argument of a record without control characters in its text; numbers as they are."""
    if value is None or isinstance(value, Number):
        return value
    return _shown(value) if type(value) is str else _Printable(value)


def _traceback(error: BaseException, frames: TracebackType | None) -> str | None:
    """Return the traceback with each message on one line, cut if it is long; None if it is harmless as it is."""
    try:
        whole = "".join(traceback.format_exception(type(error), error, frames)).rstrip("\n")
        messages = _messages(error)
    except BaseException as failed:  # noqa: BLE001 - a user's class may raise anything, SystemExit too
        return f"(the traceback could not be written: {type(failed).__name__})"
    text = whole
    for message in messages:
        # One of line ends alone forges nothing, and is all over a traceback.
        if message.strip() and message in text and (shown := _shown(message)) != message:
            text = text.replace(message, shown)
    text = truncate(printable_lines(truncate(text, MAX_TRACEBACK_LENGTH)), MAX_TRACEBACK_LENGTH)
    return None if text == whole else text


def _messages(error: BaseException) -> list[str]:
    """Return the texts of an exception and of those that it came from; each a plain str, whatever its class does."""
    found: list[str] = []
    seen: set[int] = set()
    left: list[BaseException | None] = [error]
    while left:
        last = left.pop()
        if last is not None and id(last) not in seen:
            seen.add(id(last))
            texts = (str(last), *getattr(last, "__notes__", ()))
            found += [str.__str__(text) for text in texts if isinstance(text, str)]
            left += [last.__cause__, last.__context__, *getattr(last, "exceptions", ())]
    return found
