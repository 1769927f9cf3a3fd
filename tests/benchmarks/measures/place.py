"""Where a measure is taken: one database, with empty tables for each figure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.core.management import call_command

from ..limits import open_limit
from ..limits.base import Limit
from ..options import Sizes
from ..servers import Server

Figures = dict[str, float | list[float] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One vendor's server and the sizes of this run."""

    vendor: str
    server: Server
    sizes: Sizes

    def empty_engine(self) -> None:
        """Delete all rows of the engine's tables."""
        call_command("flush", interactive=False, verbosity=0)

    @contextmanager
    def limit(self) -> Iterator[Limit]:
        """Make the limit's tables and drop them in the end."""
        limit = open_limit(self.vendor, self.server)
        try:
            yield limit
        finally:
            limit.close()
