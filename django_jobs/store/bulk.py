"""Bulk: one step of a job that does something to many rows, committed together with the place where it goes on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ..models import Job
from ..policy.metadata import DONE, POSITION
from .dialects import open_dialect
from .transactions import retry_on_conflict

Position = int | str | None
"""What the job makes of it; None: it has not begun."""


def take_step(
    job_id: int,
    work: Callable[[], int],
    *,
    position: Position,
    next_position: Position,
    using: str | None = None,
) -> int | None:
    """Do ``work``, which returns to how many rows it was done, and move the job's place; return the sum so far.

    One transaction: however often the job is killed, what it did and what it says it did are the same. None, and
    nothing done, where the place is not ``position`` any more: another run of that job is ahead of this one.
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
