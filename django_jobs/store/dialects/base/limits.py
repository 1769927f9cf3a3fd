"""The contract of the statements about permits of limits, and the values that cross it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Protocol

from django.db.backends.base.base import BaseDatabaseWrapper


@dataclass(slots=True)
class LimitQueue:
    """How many permits of a limit are held or cooling, when the first of these is free, and the first waiting jobs.

    ``waiting``: job, and whether this is the last permit that it needs.
    """

    used: int = 0
    free_at: datetime | None = None
    waiting: list[tuple[int, bool]] = field(default_factory=list)


class LockedJob(NamedTuple):
    """A job that was locked for its admission, as it was then."""

    job_id: int
    state: str
    queue_name: str


class HeldPermit(NamedTuple):
    """A permit that a run held."""

    job_id: int
    limit_id: int
    kind: int


class LimitStatements(Protocol):
    """Release permits, read the queues of limits, admit jobs; always in a transaction."""

    def release_permits(
        self, connection: BaseDatabaseWrapper, job_ids: Collection[int], *, over: Collection[int]
    ) -> list[HeldPermit]:
        """Return the permits that the runs of these jobs, locked by the caller, held.

        Those of the jobs ``over``, which will not run again, are deleted, except rate limits', whose uses still count.
        """

    def read_queues(
        self, connection: BaseDatabaseWrapper, bounds: Mapping[int, int], *, limit: int
    ) -> dict[int, LimitQueue]:
        """Return the used permits of limits, locked by the caller, and their first waiting jobs, one more than fit.

        ``bounds`` maps a limit to the number of permits that it may have in use; ``limit`` caps the room that is read.
        """

    def admit(
        self, connection: BaseDatabaseWrapper, job_ids: Collection[int], *, complete: Collection[int]
    ) -> list[LockedJob]:
        """Lock those of the jobs that nobody else has locked, and give the blocked ones the permits they wait for.

        The limits are locked by the caller. Those of ``complete`` become ready. Return all jobs that were locked.
        """
