"""Schedules on SQLite: row by row, in C."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from django.db.backends.base.base import BaseDatabaseWrapper

from ..base.schedules import NewTick, ScheduleTimes
from .transactions import write_transaction

INSERT_TICKS = """
INSERT INTO django_jobs_tick
    (schedule_id, due_at, decided_at, outcome, reason, job_id, is_open, requested_by)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
"""
SET_SCHEDULE_TIMES = "UPDATE django_jobs_cronschedule SET next_due_at = %s, next_check_at = %s WHERE id = %s"


class SQLiteSchedules:
    """Statements about schedules on SQLite."""

    def insert_ticks(self, connection: BaseDatabaseWrapper, ticks: Sequence[NewTick]) -> None:
        """Insert all."""
        rows = [(tick[0], _as_text(tick.due_at), _as_text(tick.decided_at), *tick[3:]) for tick in ticks]
        with write_transaction(connection), connection.cursor() as cursor:
            cursor.executemany(INSERT_TICKS, rows)

    def set_times(self, connection: BaseDatabaseWrapper, times: Sequence[ScheduleTimes]) -> None:
        """Write all."""
        rows = [
            (_as_text(next_due_at), _as_text(next_check_at), schedule_id)
            for schedule_id, next_due_at, next_check_at in times
        ]
        with write_transaction(connection), connection.cursor() as cursor:
            cursor.executemany(SET_SCHEDULE_TIMES, rows)


def _as_text(value: datetime | None) -> str | None:
    """Write an instant as Django does, whose queries compare these columns with values of its own."""
    return None if value is None else str(value.astimezone(UTC).replace(tzinfo=None))
