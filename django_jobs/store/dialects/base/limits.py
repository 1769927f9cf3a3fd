"""What each database does to see who has the permits of limits and who waits, and to hand permits over."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper


@dataclass(slots=True)
class LimitQueue:
    """How many permits of a limit are held or cooling, when the first of these is free, and who is next in line.

    ``waiting`` has jobs, and whether each needs no more than this.
    """

    used: int = 0
    free_at: datetime | None = None
    waiting: list[tuple[int, bool]] = field(default_factory=list)


class LockedJob(NamedTuple):
    """A job that was locked to be let in, as it was then."""

    job_id: int
    state: str
    queue_name: str


class HeldPermit(NamedTuple):
    """A permit that a run had."""

    job_id: int
    limit_id: int
    kind: int


class LimitDialect(Protocol):
    """The part of a dialect for limits, for use in a transaction."""

    def release_permits(
        self, connection: BaseDatabaseWrapper, job_ids: Collection[int], *, over: Collection[int]
    ) -> list[HeldPermit]:
        """Return the permits that the runs of these jobs, locked by the caller, had.

        Those of the jobs ``over``, which will not run again, are deleted, but for rates', whose uses still count.
        """

    def read_queues(
        self, connection: BaseDatabaseWrapper, bounds: Mapping[int, int], *, limit: int
    ) -> dict[int, LimitQueue]:
        """Return what is given out of each limit, locked by the caller, and who waits first; one more than has room.

        ``bounds`` maps limits to how many permits each may have given out at once; ``limit``: room for no more is read.
        """

    def admit(
        self, connection: BaseDatabaseWrapper, job_ids: Collection[int], *, complete: Collection[int]
    ) -> list[LockedJob]:
        """Lock those of the jobs that nobody else has, and give the blocked ones among these what they wait for.

        The limits are locked by the caller. Those of ``complete`` become ready. Returns all that were locked.
        """
