"""Escape control characters in all that the engine logs: an error's message must not forge a line or drive a terminal.

A filter of the engine's own loggers does it, so it holds for every handler and formatter that a project configures.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping
from numbers import Number
from typing import Any

from .policy.printable import printable, printable_lines

LOGGERS = tuple(f"django_jobs.{part}" for part in ("admin", "results", "scheduler", "store", "web", "worker"))


def escape_log_records() -> None:
    """Have the engine's loggers escape what they log. May be called again."""
    for name in LOGGERS:
        logging.getLogger(name).addFilter(_FILTER)


class _EscapeFilter(logging.Filter):
    """Escapes the arguments of a record, its message, and its traceback if that has anything to escape."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let the record pass."""
        if isinstance(record.args, Mapping):
            record.args = {name: _escaped(value) for name, value in record.args.items()}
        elif record.args:
            record.args = tuple(_escaped(value) for value in record.args)
        elif isinstance(record.msg, str):
            record.msg = printable(record.msg)
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            text = _traceback(error)
            # Left to the formatter if there is nothing to escape: a project's may have a form of its own.
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
        return printable(str(self.value))

    def __repr__(self) -> str:
        return printable(repr(self.value))


def _escaped(value: Any) -> Any:
    """Return an argument of a record without control characters in its text; numbers as they are."""
    if value is None or isinstance(value, Number):
        return value
    return printable(value) if type(value) is str else _Printable(value)


def _traceback(error: BaseException) -> str | None:
    """Return the traceback with each message on one line, None if it is harmless as it is."""
    try:
        whole = "".join(traceback.format_exception(error)).rstrip("\n")
        messages = _messages(error)
    except BaseException as failed:  # noqa: BLE001 - a user's class may raise anything, SystemExit too
        return f"(the traceback could not be written: {type(failed).__name__})"
    text = whole
    for message in messages:
        text = text.replace(message, printable(message))
    text = printable_lines(text)
    return None if text == whole else text


def _messages(error: BaseException) -> list[str]:
    """Return the texts of an exception and of those that it came from."""
    found: list[str] = []
    seen: set[int] = set()
    left: list[BaseException | None] = [error]
    while left:
        last = left.pop()
        if last is not None and id(last) not in seen:
            seen.add(id(last))
            found += [text for text in (str(last), *getattr(last, "__notes__", ())) if text]
            left += [last.__cause__, last.__context__, *getattr(last, "exceptions", ())]
    return found
