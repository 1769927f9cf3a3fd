"""Where a measure is taken: one database, with empty tables for each figure."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from django.core.management import call_command

from django_jobs.models import Job

from ..limits import open_limit
from ..limits.base import Limit
from ..options import Sizes
from ..servers import Server
from ..worker import WorkerProcess

LONGEST_SECONDS = 60.0
POLL_SECONDS = 0.05

Figures = dict[str, float | list[float] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One vendor's server and the sizes of this run."""

    vendor: str
    server: Server
    sizes: Sizes
    brokers: Sequence[str] = ()
    """Those that are measured; empty: each that can be started."""

    def empty_engine(self) -> None:
        """Delete all rows of the engine's tables."""
        call_command("flush", interactive=False, verbosity=0)

    def wait_until_done(self, worker: WorkerProcess) -> None:
        """Wait until no job is left to run."""
        left = Job.objects.exclude(state="succeeded")
        deadline = time.monotonic() + LONGEST_SECONDS
        while left.exists():
            worker.check()
            if time.monotonic() > deadline:
                raise RuntimeError(f"{left.count()} jobs have not run within {LONGEST_SECONDS} s")
            time.sleep(POLL_SECONDS)

    @contextmanager
    def limit(self) -> Iterator[Limit]:
        """Make the limit's tables and drop them in the end."""
        limit = open_limit(self.vendor, self.server)
        try:
            yield limit
        finally:
            limit.close()
