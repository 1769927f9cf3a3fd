"""``get_task_logger``: the logger of a module; what it says inside a task is in the log of the job."""

from __future__ import annotations

import logging


def get_task_logger(name: str) -> logging.Logger:
    """Return the logger of this name."""
    return logging.getLogger(name)
