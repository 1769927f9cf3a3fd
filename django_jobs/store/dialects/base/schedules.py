"""The contract of the statements about schedules and ticks, and the values that cross it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from django.db.backends.base.base import BaseDatabaseWrapper


class ScheduleTimes(NamedTuple):
    """When a schedule is due next and when a scheduler must check it; None: never again."""

    schedule_id: int
    next_due_at: datetime | None
    next_check_at: datetime | None


class NewTick(NamedTuple):
    """The outcome of one tick, in the order of the table's columns; see ``models.Tick``."""

    schedule_id: int
    due_at: datetime
    decided_at: datetime
    outcome: str
    reason: str
    job_id: int | None
    is_open: bool
    requested_by: str


class ScheduleStatements(Protocol):
    """Write many ticks, or the times of many schedules, at once."""

    def insert_ticks(self, connection: BaseDatabaseWrapper, ticks: Sequence[NewTick]) -> None:
        """Insert ticks; raise IntegrityError if one exists already, by schedule and ``due_at``."""

    def set_times(self, connection: BaseDatabaseWrapper, times: Sequence[ScheduleTimes]) -> None:
        """Write the next times of schedules, locked by the caller; one round trip if the database can."""
