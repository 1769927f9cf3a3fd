"""Commit a block together with the record that it was done, or neither.

::

    transaction or savepoint ── insert the record ──new──> the block runs, may store a value ── commit both
                                      └─ exists ──> return the value that the first block stored

A second block waits while the first one runs, and becomes the first if that is rolled back.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from django.db import connections

from ...arguments.serialization import dumps
from ...conf import get_settings
from ...exceptions import OnceError, PayloadTooLargeError
from ...models import OnceRecord
from ..dialects import open_dialect
from ..dialects.base.keys import NewOnceRecord
from ..transactions import read_latest, retry_on_conflict, savepoint

_WRITES = frozenset({"INSERT", "UPDATE", "DELETE", "REPLACE", "MERGE", "TRUNCATE"})


@contextmanager
def recording(record: NewOnceRecord, *, using: str | None = None) -> Iterator[OnceRecord | None]:
    """Insert the record and yield None, or yield the record of the block that was first.

    In a transaction, or a savepoint of the caller's. Raises OnceError if the block writes to another database.
    """
    _, connection = open_dialect(using)
    transaction, earlier = retry_on_conflict(lambda: _begin(record, connection.alias), using=using)
    with transaction as block:
        if earlier is None:
            for other in connections:
                if other != connection.alias:
                    guard = _refuse_writes(record.key, other, connection.alias)
                    block.enter_context(connections[other].execute_wrapper(guard))
        yield earlier


def save_once_value(record: NewOnceRecord, value: Any, *, using: str | None = None) -> Any:
    """Save, in the block's transaction, the value that later blocks get; return it as JSON.

    Raises SerializationError, if JSON cannot represent it, and PayloadTooLargeError.
    """
    text = dumps(value, what=f"once({record.key}): the stored value")
    max_bytes = get_settings().results.max_bytes
    if len(text.encode()) > max_bytes:
        raise PayloadTooLargeError(
            f"once({record.key}): the stored value has {len(text.encode())} bytes; DJANGO_JOBS['RESULTS']['MAX_BYTES']"
            f" allows {max_bytes}. Keep large data in a table or a file and store its key"
        )
    _, connection = open_dialect(using)
    stored = json.loads(text)
    OnceRecord.objects.using(connection.alias).filter(pk=record.digest).update(stored=stored)
    return stored


def _begin(record: NewOnceRecord, using: str) -> tuple[ExitStack, OnceRecord | None]:
    """Open a transaction and insert the record; return the transaction, still open, and an earlier record."""
    with ExitStack() as block:
        block.enter_context(savepoint(using=using))
        earlier = _insert(record, using)
        return block.pop_all(), earlier


def _insert(record: NewOnceRecord, using: str) -> OnceRecord | None:
    dialect, connection = open_dialect(using)
    records = OnceRecord.objects.using(using).filter(pk=record.digest)
    while not dialect.keys.insert_once(connection, record):
        earlier = read_latest(records)
        if earlier is not None:
            return earlier
    return None


def _refuse_writes(key: str, other: str, alias: str) -> Callable[..., Any]:
    def refuse(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if str(sql).lstrip("( \n\t").partition(" ")[0].upper() in _WRITES:
            raise OnceError(
                f"once({key}): the block writes to the database {other!r}, and its record is in {alias!r}"
                " (DJANGO_JOBS['DATABASE']): a crash between the two commits would lose one of them. Write there"
                " outside of the block"
            )
        return execute(sql, params, many, context)

    return refuse
