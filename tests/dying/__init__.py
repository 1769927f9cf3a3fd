"""An error in one thread of a worker, thrown once, when the test names that thread in a file.

For workers of tests, by ``DJANGO_JOBS_TEST_APPS``: nothing else makes threads die that are not meant to.
"""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "DJANGO_JOBS_TEST_DYING"
"""Names the file."""


class Bug(Exception):
    """Stands for one of ours."""


def die_if_named(name: str) -> None:
    """Raise where the file holds ``name``, in one process once: who takes the file away is it."""
    path = Path(os.environ[VARIABLE])
    try:
        if path.read_text() == name:
            path.unlink()
        else:
            return
    except FileNotFoundError:
        return
    raise Bug(name)
