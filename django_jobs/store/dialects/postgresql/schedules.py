"""Schedules on PostgreSQL: all rows in one statement, sent as one JSON text."""

from __future__ import annotations

import json
from collections.abc import Sequence

from django.db.backends.base.base import BaseDatabaseWrapper

from ..base.schedules import NewTick, ScheduleTimes

INSERT_TICKS = """
INSERT INTO django_jobs_tick
    (schedule_id, due_at, decided_at, outcome, reason, job_id, is_open, requested_by)
SELECT * FROM json_to_recordset(%s::json)
    AS tick (schedule_id bigint, due_at timestamptz, decided_at timestamptz, outcome text, reason text,
             job_id bigint, is_open boolean, requested_by text)
"""
SET_SCHEDULE_TIMES = """
UPDATE django_jobs_cronschedule AS schedule
SET next_due_at = times.next_due_at, next_check_at = times.next_check_at
FROM json_to_recordset(%s::json)
    AS times (schedule_id bigint, next_due_at timestamptz, next_check_at timestamptz)
WHERE schedule.id = times.schedule_id
"""


class PostgreSQLSchedules:
    """Statements about schedules on PostgreSQL."""

    def insert_ticks(self, connection: BaseDatabaseWrapper, ticks: Sequence[NewTick]) -> None:
        """Insert all."""
        with connection.cursor() as cursor:
            cursor.execute(INSERT_TICKS, [json.dumps([tick._asdict() for tick in ticks], default=str)])

    def set_times(self, connection: BaseDatabaseWrapper, times: Sequence[ScheduleTimes]) -> None:
        """Write all."""
        with connection.cursor() as cursor:
            cursor.execute(SET_SCHEDULE_TIMES, [json.dumps([row._asdict() for row in times], default=str)])
