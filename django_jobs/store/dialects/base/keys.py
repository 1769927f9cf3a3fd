"""What every database must be able to do with keys, and the values that cross it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from ....policy.uniqueness import NewKey
from .jobs import Inserted, NewJob

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper


class KeyHolder(NamedTuple):
    """The job that holds a key."""

    job_id: int


class NewOnceRecord(NamedTuple):
    """A record of ``once(...)`` to be."""

    digest: str
    key: str
    job_id: int | None


class KeyDialect(Protocol):
    """The part of a dialect that keys need; it writes in the caller's transaction, as the dialect does."""

    def sees_latest(self, connection: BaseDatabaseWrapper) -> bool:
        """Tell whether a plain SELECT sees what was committed just now; otherwise only one that locks does."""

    def insert_with_key(
        self, connection: BaseDatabaseWrapper, new: NewJob, arguments: str, key: NewKey
    ) -> Inserted | KeyHolder | None:
        """Insert a job that holds ``key``, or return the one that holds it; in one transaction.

        It waits for a transaction that has inserted the same key, and inserts where that one is rolled back. A key
        whose window is over, or whose job is gone or in none of the key's states, is taken over. None: another
        transaction was faster; ask again.
        """

    def lock_waiting_job(self, connection: BaseDatabaseWrapper, job_id: int) -> bool:
        """Keep a waiting job from being claimed until the transaction ends; False where it waits no more."""

    def insert_once(self, connection: BaseDatabaseWrapper, record: NewOnceRecord) -> bool:
        """Insert a record and tell whether it is new; waits for a transaction that has inserted the same."""


WAITING = "('blocked', 'scheduled', 'ready')"
