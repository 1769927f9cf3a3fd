"""The memory through which a supervisor sees the worker of one database in a process; passed at the spawn."""

from __future__ import annotations

from typing import NamedTuple

from ..system.liveness import SharedLiveness
from .started_jobs import StartedJobs


class Channel(NamedTuple):
    """Written by the worker."""

    started_jobs: StartedJobs
    liveness: SharedLiveness
