"""The inbox: ids of messages that were received from queues, so that a second delivery makes no job."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from ...models import ReceivedId
from ...policy.uniqueness import key_digest
from ..dialects import open_dialect
from ..old_rows import delete_old


def insert_new_ids(source_id: int, ids: Sequence[str], *, using: str | None = None) -> set[str]:
    """Insert the ids that are not there, in the caller's transaction, and return those; the others are duplicates.

    One statement a batch, in the order of the digests, so that two batches wait for each other and do not deadlock. An
    id that another transaction has inserted is waited for, and is new if that is rolled back.
    """
    dialect, connection = open_dialect(using)
    by_digest = {key_digest("message", str(source_id), text): text for text in ids}
    if not by_digest:
        return set()
    return {by_digest[digest] for digest in dialect.inbox.insert_new(connection, sorted(by_digest))}


def prune_inbox(period: timedelta | None, *, windows: int | None = None, using: str | None = None) -> int:
    """Delete ids that were received more than ``period`` ago (None: keep all), in ``windows`` (None: all) of 2,000."""
    return delete_old(ReceivedId, "received_at", period, windows=windows, using=using)
