"""Find out whether a record would reach any handler, before it is made: that costs more than a small job.

As Django sets up logging, its loggers are enabled for INFO, and in production no handler takes that: the console's has
the filter ``RequireDebugTrue``, and mails begin at ERROR.
"""

from __future__ import annotations

import logging
from typing import Any

from django.conf import settings
from django.utils.log import RequireDebugTrue

from ...worker.execution.log_capture import JobLogHandler


def is_heard(logger: logging.Logger, level: int) -> bool:
    """Tell whether a record of this level may reach a handler.

    Filters are not asked, except Django's own that passes nothing without DEBUG. The handler that keeps the logs of
    runs hears nothing outside of a run.
    """
    if not logger.isEnabledFor(level):
        return False
    current: logging.Logger | None = logger
    while current is not None:
        if any(_takes(handler, level) for handler in current.handlers):
            return True
        current = current.parent if current.propagate else None
    return logging.lastResort is not None and level >= logging.lastResort.level


def _takes(handler: logging.Handler, level: int) -> bool:
    if handler.level > level or type(handler) is JobLogHandler:
        return False
    return not any(map(_passes_nothing, handler.filters))


def _passes_nothing(one: Any) -> bool:
    return type(one) is RequireDebugTrue and not settings.DEBUG
