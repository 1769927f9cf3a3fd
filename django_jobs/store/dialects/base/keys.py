"""The contract of the statements about keys, and the values that cross it."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from django.db.backends.base.base import BaseDatabaseWrapper

from ....policy.uniqueness import NewKey
from .jobs import Inserted, NewJob

WAITING = "('blocked', 'scheduled', 'ready')"


class KeyHolder(NamedTuple):
    """The job that holds a key."""

    job_id: int


class NewOnceRecord(NamedTuple):
    """A record of ``once(...)`` to insert."""

    digest: str
    key: str
    job_id: int | None


class KeyStatements(Protocol):
    """Insert a job with its key, and records of ``once``; in the caller's transaction if there is one."""

    def sees_latest(self, connection: BaseDatabaseWrapper) -> bool:
        """Tell whether a plain SELECT sees the newest commits; otherwise only a locking one does."""

    def insert_with_key(
        self, connection: BaseDatabaseWrapper, new: NewJob, arguments: str, key: NewKey
    ) -> Inserted | KeyHolder | None:
        """Insert a job that holds ``key``, or return the job that holds it already; in one transaction.

        Wait for a transaction that has inserted the same key, and insert if that is rolled back. Take over a key whose
        window is over, or whose job is deleted or in none of the key's states. None: another transaction was faster;
        call again.
        """

    def lock_waiting_job(self, connection: BaseDatabaseWrapper, job_id: int) -> bool:
        """Keep a waiting job from being claimed until the transaction ends; False if it does not wait any more."""

    def insert_once(self, connection: BaseDatabaseWrapper, record: NewOnceRecord) -> bool:
        """Insert a record and tell whether it is new; wait for a transaction that has inserted the same."""
