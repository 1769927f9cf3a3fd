"""``ExceptionInfo``: an exception as handlers and results have it."""

from __future__ import annotations

import traceback as tracebacks


class ExceptionInfo:
    """An exception, its class, and its traceback as text."""

    def __init__(self, error: BaseException) -> None:
        self.exception = error
        self.type = type(error)
        self.tb = error.__traceback__
        self.traceback = "".join(tracebacks.format_exception(error))

    def __str__(self) -> str:
        return self.traceback

    def __repr__(self) -> str:
        return f"<ExceptionInfo: {self.exception!r}>"
