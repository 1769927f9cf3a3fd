"""Good jobs that look around: what they return would show that another job has been here before, or is beside them."""

from __future__ import annotations

import asyncio
import decimal
from typing import Any

from asgiref.sync import sync_to_async
from django.db import connection
from django.utils import timezone, translation

from django_jobs import current_job, job
from django_jobs.context import batch_scope
from tests.sampleapp.models import Customer

from .animals import MARK

RESIDENT = "resident"
"""The customer that there is."""
SESSION = {
    "postgresql": """
        SELECT current_schema(), current_user, current_setting('statement_timeout'), current_setting('timezone'),
               current_setting('default_transaction_read_only'), current_setting('bytea_output'),
               current_setting('datestyle'), current_setting('standard_conforming_strings'),
               (SELECT count(*) FROM pg_cursors WHERE is_holdable), (SELECT count(*) FROM pg_listening_channels()),
               (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid())
    """,
    "mysql": """
        SELECT @@autocommit, @@sql_mode, @@tx_read_only, @@character_set_client, @@time_zone, @@in_transaction,
               IFNULL(IS_USED_LOCK('zoo') = CONNECTION_ID(), 0)
    """,
    "sqlite": "SELECT query_only, foreign_keys FROM pragma_query_only, pragma_foreign_keys",
}


def _look_around() -> dict[str, Any]:
    """Return what a job can see of its thread or task."""
    return {
        "job": current_job().name,
        "language": translation.get_language(),
        "time zone": timezone.get_current_timezone_name(),
        "decimals": str(decimal.Decimal(1) / 3),
        "context variable": MARK.get(),
        "batch": batch_scope.get() and "in one",
    }


def _ask_database() -> dict[str, Any]:
    """Return what a job can see of its connection, and write a row."""
    seen = {
        "is atomic": connection.in_atomic_block,
        "hooks": len(connection.run_on_commit),
        "residents": Customer.objects.filter(name=RESIDENT).count(),
    }
    name = f"neighbour {current_job().job_id}"
    Customer.objects.create(name=name)
    with connection.cursor() as cursor:
        cursor.execute(SESSION[connection.vendor])
        session = [str(value) for value in cursor.fetchone()]
    return {**seen, "has written": Customer.objects.filter(name=name).exists(), "session": session}


@job(max_attempts=1)
def neighbour() -> dict[str, Any]:
    return {**_look_around(), **_ask_database()}


@job(max_attempts=1, atomic=True)
def neighbour_atomic() -> dict[str, Any]:
    return {**_look_around(), **_ask_database()}


@job(max_attempts=1)
async def neighbour_async() -> dict[str, Any]:
    seen = _look_around()
    await asyncio.sleep(0.01)
    asked = await sync_to_async(_ask_database)()
    assert _look_around() == seen, "what a job sees does not change while it runs"
    return {**seen, **asked}


BEFORE, AFTER = (neighbour, neighbour_async), (neighbour, neighbour_atomic, neighbour_async)
