"""Schedules on MySQL and MariaDB: all rows in one statement, sent as one JSON text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime

from django.db.backends.base.base import BaseDatabaseWrapper

from ..base.schedules import NewTick, ScheduleTimes

INSERT_TICKS = """
INSERT INTO django_jobs_tick
    (schedule_id, due_at, decided_at, outcome, reason, job_id, is_open, requested_by)
SELECT * FROM JSON_TABLE(%s, '$[*]' COLUMNS (
    schedule_id bigint PATH '$[0]', due_at datetime(6) PATH '$[1]', decided_at datetime(6) PATH '$[2]',
    outcome varchar(10) PATH '$[3]', reason longtext CHARACTER SET utf8mb4 PATH '$[4]', job_id bigint PATH '$[5]',
    is_open tinyint PATH '$[6]', requested_by varchar(150) CHARACTER SET utf8mb4 PATH '$[7]')) AS tick
"""
SET_SCHEDULE_TIMES = """
UPDATE JSON_TABLE(%s, '$[*]' COLUMNS (
           id bigint PATH '$[0]', due datetime(6) PATH '$[1]', next_check datetime(6) PATH '$[2]')) AS times
STRAIGHT_JOIN django_jobs_cronschedule AS schedule FORCE INDEX (PRIMARY) ON schedule.id = times.id
SET schedule.next_due_at = times.due, schedule.next_check_at = times.next_check
"""


class MySQLSchedules:
    """Statements about schedules on MySQL and MariaDB."""

    def insert_ticks(self, connection: BaseDatabaseWrapper, ticks: Sequence[NewTick]) -> None:
        """Insert all."""
        rows = [(*tick[:6], int(tick.is_open), tick.requested_by) for tick in ticks]
        with connection.cursor() as cursor:
            cursor.execute(INSERT_TICKS, [json.dumps(rows, ensure_ascii=False, default=_naive_text)])

    def set_times(self, connection: BaseDatabaseWrapper, times: Sequence[ScheduleTimes]) -> None:
        """Write all."""
        with connection.cursor() as cursor:
            cursor.execute(SET_SCHEDULE_TIMES, [json.dumps(times, default=_naive_text)])


def _naive_text(value: datetime) -> str:
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ")
