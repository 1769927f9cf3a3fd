"""Find keys of enqueues and records of ``once``, by pages in bounded time.

The order is that of the indexes that pruning needs. A text is searched among a bounded number of their entries; a whole
idempotency key of a known job is found by its digest, wherever it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from django.db.models import Model, Q, QuerySet

from ...models import EnqueueKey, Job, OnceRecord
from ...policy.uniqueness import KeyKind, key_digest
from ..dialects import open_dialect
from .keyset_pages import PAGE_SIZE, SCAN_LIMIT, KeysetPage, read_keyset_page

M = TypeVar("M", bound=Model)

KEY_ORDER = ("-expires_at", "-digest")
RECORD_ORDER = ("-recorded_at", "-digest")


def find_keys(
    text: str = "",
    *,
    names: Sequence[str] = (),
    after: str = "",
    limit: int = PAGE_SIZE,
    scan: int = SCAN_LIMIT,
    using: str | None = None,
) -> KeysetPage[EnqueueKey]:
    """Return keys with ``text`` in them or in their job's name, those that expire last first, with their jobs.

    If ``text`` is a whole idempotency key of a job among ``names``, that comes first. At most four statements. Raises
    FilterError if ``after`` is not a cursor of keys.
    """
    _, connection = open_dialect(using)
    keys = EnqueueKey.objects.using(connection.alias)
    page = _page(keys, KEY_ORDER, Q(key__contains=text) | Q(job_name__contains=text), text, after, limit, scan)
    if text and names and not after:
        digests = [key_digest(KeyKind.IDEMPOTENCY, name, text) for name in names]
        exact = list(keys.filter(pk__in=digests))
        found = {key.pk for key in exact}
        page = replace(page, rows=exact + [key for key in page.rows if key.pk not in found])
    jobs = Job.objects.using(connection.alias).defer("arguments", "metadata", "result_data")
    by_id = jobs.in_bulk([key.job_id for key in page.rows])
    for key in page.rows:
        if key.job_id in by_id:
            key.job = by_id[key.job_id]
    return page


def find_once(
    text: str = "",
    *,
    after: str = "",
    limit: int = PAGE_SIZE,
    scan: int = SCAN_LIMIT,
    using: str | None = None,
) -> KeysetPage[OnceRecord]:
    """Return records of ``once`` with ``text`` in their key, newest first; at most two statements.

    Raises FilterError if ``after`` is not a cursor of records.
    """
    _, connection = open_dialect(using)
    records = OnceRecord.objects.using(connection.alias)
    return _page(records, RECORD_ORDER, Q(key__contains=text), text, after, limit, scan)


def keys_of_job(job_id: int, *, using: str | None = None) -> list[EnqueueKey]:
    """Return the keys that point to a job."""
    _, connection = open_dialect(using)
    return list(EnqueueKey.objects.using(connection.alias).filter(job=job_id).order_by("kind", "digest"))


def _page(
    rows: QuerySet[M], order: tuple[str, ...], matches: Q, text: str, after: str, limit: int, scan: int
) -> KeysetPage[M]:
    return read_keyset_page(
        rows,
        order,
        narrow=(lambda queryset: queryset.filter(matches)) if text else None,
        after=after,
        limit=limit,
        scan=scan,
    )
