"""Keys on MySQL and MariaDB: insert the key or lock it, insert the job, write the job's id to the key.

A plain INSERT that finds a duplicate takes a shared lock; two that wait for a third one's rollback would both get it
and then deadlock. ON DUPLICATE KEY UPDATE takes the exclusive lock from the start, and ``LAST_INSERT_ID(expression)``
returns the key's holder in the same round trip (MySQL manual, "LAST_INSERT_ID").
"""

from __future__ import annotations

from django.db.backends.base.base import BaseDatabaseWrapper

from ....policy.uniqueness import NewKey
from ..base.jobs import Inserted, NewJob
from ..base.keys import WAITING, KeyHolder, NewOnceRecord
from ..base.transactions import write_transaction
from .jobs import MySQLJobs

NO_JOB_ID = 0
"""The job of a key that this transaction has just inserted; no other transaction ever sees it."""

LOCK_KEY = f"""
INSERT INTO django_jobs_enqueuekey (digest, kind, job_name, `key`, job_id, acquired_at, expires_at)
VALUES (%s, %s, %s, %s, {NO_JOB_ID}, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6))
ON DUPLICATE KEY UPDATE
    job_id = LAST_INSERT_ID(IF(%s AND expires_at <= UTC_TIMESTAMP(6), {NO_JOB_ID}, job_id))
"""
STATE = "SELECT state FROM django_jobs_job WHERE id = %s"
ASSIGN_KEY = """
UPDATE django_jobs_enqueuekey
SET job_id = %s, `key` = %s, acquired_at = UTC_TIMESTAMP(6),
    expires_at = TIMESTAMPADD(MICROSECOND, %s, UTC_TIMESTAMP(6))
WHERE digest = %s
"""
LOCK_WAITING_JOB = f"""
SELECT id FROM django_jobs_job FORCE INDEX (PRIMARY) WHERE id = %s AND state IN {WAITING} LOCK IN SHARE MODE
"""

INSERT_ONCE = """
INSERT INTO django_jobs_oncerecord (digest, `key`, job_id, recorded_at)
VALUES (%s, %s, %s, UTC_TIMESTAMP(6))
ON DUPLICATE KEY UPDATE recorded_at = IF(LAST_INSERT_ID(1), recorded_at, recorded_at)
"""
READ_COMMITTED_LEVELS = {"read committed", "read uncommitted"}


class MySQLKeys:
    """Keys on MySQL 8 and MariaDB 10.6 and later."""

    def sees_latest(self, connection: BaseDatabaseWrapper) -> bool:
        """False inside a transaction under REPEATABLE READ, the server's default but not Django's."""
        return not connection.in_atomic_block or getattr(connection, "isolation_level", None) in READ_COMMITTED_LEVELS

    def insert_with_key(
        self, connection: BaseDatabaseWrapper, new: NewJob, arguments: str, key: NewKey
    ) -> Inserted | KeyHolder | None:
        """Insert in three statements: the key, or a lock on it, the job, the job's id on the key."""
        with write_transaction(connection), connection.cursor() as cursor:
            cursor.execute(LOCK_KEY, [key.digest, key.kind, key.job_name, key.text, key.expires])
            holder_id = cursor.lastrowid or NO_JOB_ID
            if holder_id != NO_JOB_ID:
                cursor.execute(STATE if self.sees_latest(connection) else f"{STATE} LOCK IN SHARE MODE", [holder_id])
                row = cursor.fetchone()
                if row is not None and row[0] in key.states:
                    return KeyHolder(holder_id)
            (inserted,) = MySQLJobs().insert_jobs(connection, new, [arguments])
            kept = round(key.seconds * 1_000_000)
            cursor.execute(ASSIGN_KEY, [inserted.job_id, key.text, kept, key.digest])
        return inserted

    def lock_waiting_job(self, connection: BaseDatabaseWrapper, job_id: int) -> bool:
        """Lock the row in share mode."""
        with connection.cursor() as cursor:
            cursor.execute(LOCK_WAITING_JOB, [job_id])
            return cursor.fetchone() is not None

    def insert_once(self, connection: BaseDatabaseWrapper, record: NewOnceRecord) -> bool:
        """Insert, or lock the existing record, in one statement."""
        with connection.cursor() as cursor:
            cursor.execute(INSERT_ONCE, record)
            return not cursor.lastrowid
