"""The contract of a database session: what a job may leave in it, and what the engine's statements depend on."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from django.db.backends.base.base import BaseDatabaseWrapper

from ....policy.session_effects import SessionRules


class DriverObserver(Protocol):
    """Receives the statements that bypass Django's cursors."""

    is_executing: bool
    """True while a statement is executed."""

    def driver_executes(self, statement: str) -> AbstractContextManager[None]:
        """Record a statement, or its beginning, that the block sends; empty if it is not known."""


class SessionStatements:
    """Observe and release a session, keep its settings. Here: a vendor whose driver cannot be observed."""

    rules = SessionRules()

    def observe_driver(self, driver_connection: Any, observer: DriverObserver) -> None:
        """Report statements that bypass Django's cursors to ``observer``."""

    def has_transaction(self, connection: BaseDatabaseWrapper) -> bool:
        """Ask the server whether a transaction is open, if the driver cannot tell; at most one round trip."""
        return False

    def release(self, connection: BaseDatabaseWrapper) -> None:
        """Roll back and release locks now: the server may notice the end of a connection later."""

    def read_settings(self, connection: BaseDatabaseWrapper) -> Sequence[Any] | None:
        """Return the settings that the engine's statements depend on, None if there are none."""
        return None

    def restore_settings(self, connection: BaseDatabaseWrapper, settings: Sequence[Any]) -> None:
        """Restore what ``read_settings`` returned; if ``settings`` is empty, the defaults of the session."""
