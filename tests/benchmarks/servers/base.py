"""The contract of a database server, as the benchmark sees it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Protocol

ENGINE_TABLES = (
    "django_jobs_attempt",
    "django_jobs_batchjob",
    "django_jobs_batchcountdelta",
    "django_jobs_deadletter",
    "django_jobs_dependency",
    "django_jobs_job",
    "django_jobs_permit",
    "django_jobs_worker",
)
LIMIT_TABLES = ("limit_attempt", "limit_job")


class Server(Protocol):
    """One database of the benchmark's own on one server."""

    def create(self) -> None:
        """Make the database, in place of one that a killed run left behind."""

    def drop(self) -> None:
        """Drop the database."""

    def connect(self) -> Any:
        """Return a connection of the plain driver, in autocommit, as durable as the database is by default."""

    def version(self) -> str:
        """Return the server's and the driver's version."""

    def min_age(self, *tables: str) -> None:
        """Let what a large insert leaves behind (statistics, dirty pages) be done before it is measured."""

    def hold_snapshot(self) -> AbstractContextManager[None]:
        """Hold a transaction open that sees the database as it is now."""

    def statements(self) -> int | None:
        """Return a count that grows with each statement of any session; None where nobody counts."""

    def session_tasks(self) -> list[int] | None:
        """Return the server's process or thread of each session of this database; None where it has none of its own."""

    def instant(self, seconds: str) -> str:
        """Return SQL for the instant that many seconds (an SQL expression) from now."""
