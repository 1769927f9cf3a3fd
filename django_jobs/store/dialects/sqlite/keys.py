"""Keys on SQLite: a few small statements in one transaction, because there is one writer at a time.

The first of them writes: even if the caller's transaction has only read so far, it takes the write lock before
anything is decided.
"""

from __future__ import annotations

from django.db.backends.base.base import BaseDatabaseWrapper

from ....policy.uniqueness import NewKey
from ..base.jobs import Inserted, NewJob
from ..base.keys import WAITING, KeyHolder, NewOnceRecord
from .jobs import SQLiteJobs
from .statements import LATER, NOW
from .transactions import write_transaction

NO_JOB_ID = 0
"""The job of a key that this transaction has just inserted."""

# Six digits, as Django writes instants: pages of these rows compare with them.
_NOW = f"""({NOW.replace("%", "%%")} || '000')"""
_LATER = f"""({LATER.replace("%Y-%m-%d %H:%M:%f", "%%Y-%%m-%%d %%H:%%M:%%f")} || '000')"""

LOCK_KEY = f"""
INSERT INTO django_jobs_enqueuekey (digest, kind, job_name, key, job_id, acquired_at, expires_at)
VALUES (%s, %s, %s, %s, {NO_JOB_ID}, {_NOW}, {_NOW})
ON CONFLICT (digest) DO UPDATE
    SET job_id = CASE WHEN %s AND expires_at <= {_NOW} THEN {NO_JOB_ID} ELSE job_id END
RETURNING job_id
"""
STATE = "SELECT state FROM django_jobs_job WHERE id = %s"
ASSIGN_KEY = f"""
UPDATE django_jobs_enqueuekey SET job_id = %s, key = %s, acquired_at = {_NOW}, expires_at = {_LATER}
WHERE digest = %s
"""
SELECT_WAITING_JOB = f"SELECT id FROM django_jobs_job WHERE id = %s AND state IN {WAITING}"
INSERT_ONCE = f"""
INSERT INTO django_jobs_oncerecord (digest, key, job_id, recorded_at) VALUES (%s, %s, %s, {_NOW})
ON CONFLICT (digest) DO NOTHING
"""


class SQLiteKeys:
    """Keys on SQLite 3.37 and later."""

    def sees_latest(self, connection: BaseDatabaseWrapper) -> bool:
        """True: a writer has locked the whole file."""
        return True

    def insert_with_key(
        self, connection: BaseDatabaseWrapper, new: NewJob, arguments: str, key: NewKey
    ) -> Inserted | KeyHolder | None:
        """Insert the key, the job, and the job's id on the key."""
        with write_transaction(connection), connection.cursor() as cursor:
            cursor.execute(LOCK_KEY, [key.digest, key.kind, key.job_name, key.text, key.expires])
            ((holder_id,),) = cursor.fetchall()
            if holder_id != NO_JOB_ID:
                cursor.execute(STATE, [holder_id])
                row = cursor.fetchone()
                if row is not None and row[0] in key.states:
                    return KeyHolder(holder_id)
            (inserted,) = SQLiteJobs().insert_jobs(connection, new, [arguments])
            cursor.execute(ASSIGN_KEY, [inserted.job_id, key.text, f"{key.seconds:+.6f}", key.digest])
        return inserted

    def lock_waiting_job(self, connection: BaseDatabaseWrapper, job_id: int) -> bool:
        """Read only: this transaction has the write lock, so no claim happens before it ends."""
        with connection.cursor() as cursor:
            cursor.execute(SELECT_WAITING_JOB, [job_id])
            return cursor.fetchone() is not None

    def insert_once(self, connection: BaseDatabaseWrapper, record: NewOnceRecord) -> bool:
        """Insert in one statement."""
        with connection.cursor() as cursor:
            cursor.execute(INSERT_ONCE, record)
            return bool(cursor.rowcount)
