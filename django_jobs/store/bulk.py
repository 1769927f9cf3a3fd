"""One step of a bulk job: its work is committed together with the position of the next step."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ..models import Job
from ..policy.metadata import DONE, POSITION
from .dialects import open_dialect
from .transactions import retry_on_conflict

Position = int | str | None
"""Position as the job defines it; None: before the first step."""


def take_step(
    job_id: int,
    work: Callable[[], int],
    *,
    position: Position,
    next_position: Position,
    using: str | None = None,
) -> int | None:
    """Do ``work``, which returns a number of rows, and move the job to ``next_position``; return the sum so far.

    One transaction: however often the job is killed, its work and its count agree. None, with nothing done, if the job
    is no longer at ``position``: another run of it is ahead of this one.
    """
    _, connection = open_dialect(using)
    step = partial(_take_step, job_id, work, position, next_position, connection.alias)
    return retry_on_conflict(step, using=connection.alias)


def _take_step(
    job_id: int, work: Callable[[], int], position: Position, next_position: Position, alias: str
) -> int | None:
    dialect, connection = open_dialect(alias)
    own = Job.objects.using(alias).filter(pk=job_id)
    with dialect.write_transaction(connection):
        metadata = own.select_for_update().values_list("metadata", flat=True).first()
        if metadata is None or metadata.get(POSITION) != position:
            return None
        done = int(metadata.get(DONE, 0)) + work()
        own.update(metadata={**metadata, POSITION: next_position, DONE: done})
    return done
