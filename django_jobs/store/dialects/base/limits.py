"""What each database does to see who has the permits of limits and who waits, and to hand permits over."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper


@dataclass(slots=True)
class OpenLine:
    """How many permits of a limit are held or cooling, when the first of these is free, and who is next in line.

    ``waiting`` has jobs, and whether each needs no more than this.
    """

    used: int = 0
    free_at: datetime | None = None
    waiting: list[tuple[int, bool]] = field(default_factory=list)


class LetIn(NamedTuple):
    """A job that was locked to be let in, as it was then."""

    job_id: int
    state: str
    queue_name: str


class Held(NamedTuple):
    """A permit that a run had."""

    job_id: int
    limit_id: int
    kind: int


class LimitDialect(Protocol):
    """The part of a dialect for limits, for use in a transaction."""

    def take_back(
        self, connection: BaseDatabaseWrapper, job_ids: Collection[int], *, over: Collection[int]
    ) -> list[Held]:
        """Return the permits that the runs of these jobs, locked by the caller, had.

        Those of the jobs ``over``, which will not run again, are deleted, but for rates', whose uses still count.
        """

    def read_lines(
        self, connection: BaseDatabaseWrapper, bounds: Mapping[int, int], *, most: int
    ) -> dict[int, OpenLine]:
        """Return what is given out of each limit, locked by the caller, and who waits first; one more than has room.

        ``bounds`` maps limits to how many permits each may have given out at once; ``most``: room for no more is read.
        """

    def let_in(
        self, connection: BaseDatabaseWrapper, job_ids: Collection[int], *, complete: Collection[int]
    ) -> list[LetIn]:
        """Lock those of the jobs that nobody else has, and give the blocked ones among these what they wait for.

        The limits are locked by the caller. Those of ``complete`` become ready. Returns all that were locked.
        """
