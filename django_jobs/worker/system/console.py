"""Log to the terminal if the project's LOGGING has no handler for ``django_jobs``."""

from __future__ import annotations

import logging
import sys

LEVELS = {0: logging.WARNING, 1: logging.INFO, 2: logging.DEBUG, 3: logging.DEBUG}


def log_to_terminal(verbosity: int) -> None:
    """Give the logger ``django_jobs`` a handler on stderr unless it, or the root, has one already."""
    logger = logging.getLogger("django_jobs")
    if logger.level == logging.NOTSET:
        logger.setLevel(LEVELS.get(verbosity, logging.INFO))
    if logger.hasHandlers():
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s [%(process)s] %(message)s", datefmt="%H:%M:%S"))
    logger.addHandler(handler)
