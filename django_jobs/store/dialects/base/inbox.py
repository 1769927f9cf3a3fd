"""The contract of the statement about the inbox, the ids of messages that were received."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from django.db.backends.base.base import BaseDatabaseWrapper


class InboxStatements(Protocol):
    """Insert ids in bulk; in the caller's transaction."""

    def insert_new(self, connection: BaseDatabaseWrapper, digests: Sequence[str]) -> set[str]:
        """Insert the digests (32 hexadecimal digits of a UUID, sorted) that are not there yet, and return those.

        Wait for a transaction that has inserted one of them, and insert it if that is rolled back.
        """
