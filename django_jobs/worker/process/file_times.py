"""The files of the code that runs, and when they changed: what ``--reload`` watches."""

from __future__ import annotations

from pathlib import Path

from django.utils import autoreload


def file_times() -> dict[Path, float]:
    """Return the files of all imported modules and their times of change."""
    times: dict[Path, float] = {}
    for path in autoreload.iter_all_python_module_files():
        try:
            times[path] = path.stat().st_mtime
        except OSError:
            continue
    return times
