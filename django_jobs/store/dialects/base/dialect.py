"""The contract of a database vendor: its sessions and transactions, and a part for each group of statements.

A dialect and its parts have no state. Their methods take this thread's connection, write in the caller's transaction
if there is one, and commit on their own if there is none. The tests in ``tests/store`` run unchanged on each vendor.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from types import MappingProxyType
from typing import Any, ClassVar

from django.db import Error as DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper

from .batches import BatchStatements
from .clock import ServerClock
from .dependencies import DependencyStatements
from .inbox import InboxStatements
from .jobs import JobStatements, as_instant
from .keys import KeyStatements
from .limits import LimitStatements
from .logs import LogStatements
from .schedules import ScheduleStatements
from .server import ServerStatements
from .sessions import SessionStatements
from .stats import StatStatements
from .transactions import write_transaction


class Dialect(ABC):
    """A supported database vendor."""

    __slots__ = ()

    clock: ClassVar[ServerClock]
    jobs: ClassVar[JobStatements]
    keys: ClassVar[KeyStatements]
    limits: ClassVar[LimitStatements]
    batches: ClassVar[BatchStatements]
    dependencies: ClassVar[DependencyStatements]
    schedules: ClassVar[ScheduleStatements]
    logs: ClassVar[LogStatements]
    inbox: ClassVar[InboxStatements]
    stats: ClassVar[StatStatements]
    server: ClassVar[ServerStatements]
    sessions: ClassVar[SessionStatements]

    title: ClassVar[str]
    """The vendor's name for people; Django's asks a MySQL server whether it is MariaDB."""
    supports_notify: ClassVar[bool] = False
    """True if ``LISTEN`` and ``NOTIFY`` wake idle workers."""
    hears_commits: ClassVar[bool] = False
    """True if workers notice every commit by themselves, whoever made it."""
    supports_tuple_ranges: ClassVar[bool] = True
    """True if an index of several columns serves a comparison of tuples as one range."""
    network_timeouts: ClassVar[Mapping[str, int]] = MappingProxyType({})
    """Connection options of the driver with which a dead network ends as an error, unless the project sets them."""
    name_option: ClassVar[str | None] = None
    """Connection option of the driver that names a session for people, None if it has none."""

    @abstractmethod
    def prepare(self, connection: BaseDatabaseWrapper, *, durable: bool) -> None:
        """Set up a worker's connection; ``durable`` False if losing its last commits is harmless."""

    def write_transaction(self, connection: BaseDatabaseWrapper) -> AbstractContextManager[None]:
        """Open a transaction for several statements, or join the caller's."""
        return write_transaction(connection)

    def now(self, connection: BaseDatabaseWrapper) -> datetime:
        """Return the database's time, aware. One statement."""
        with connection.cursor() as cursor:
            cursor.execute(self.clock.statement)
            now: datetime = as_instant(cursor.fetchone()[0])
            return now

    @abstractmethod
    def is_conflict(self, error: DatabaseError) -> bool:
        """Tell whether the server rolled this transaction back in favour of another, so that a retry may succeed."""

    @abstractmethod
    def is_refusal(self, error: DatabaseError) -> bool:
        """Tell whether the server answered and does not take the data: with other data it would.

        False if it did not answer, or answered that it is shutting down, full, read-only, not migrated, or in conflict.
        """

    @abstractmethod
    def is_unmigrated(self, error: DatabaseError) -> bool:
        """Tell whether the database has no such table or column: migrations of this code are not applied."""

    @abstractmethod
    def is_outage(self, error: DatabaseError) -> bool:
        """Tell whether the connection is gone, or the server takes no connections or no writes for now."""

    @abstractmethod
    def is_idle(self, driver_connection: Any) -> bool:
        """Tell, without a round trip if possible, whether a connection is open and in no transaction."""

    def file_identity(self, connection: BaseDatabaseWrapper) -> tuple[int, int] | None:
        """Return device and number of the file that is at the database's path now; None: no file, or none there."""
        return None

    def notify(  # noqa: B027 - optional
        self, connection: BaseDatabaseWrapper, queue_name: str, priority: int | None
    ) -> None:
        """Wake idle workers if the database can; workers poll otherwise."""

    def notify_schedulers(self, connection: BaseDatabaseWrapper) -> None:  # noqa: B027 - optional
        """Have all schedulers read the schedules again if the database can; schedulers poll otherwise."""
