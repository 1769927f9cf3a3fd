"""Find keys: those of enqueues and records of ``once``, a page at a time, each in bounded time.

In the order of the indexes that pruning needs; a text is looked for among a bounded number of their entries, and a
whole idempotency key of a known job by its digest, wherever it lies.
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

KEYS = ("-expires_at", "-digest")
RECORDS = ("-recorded_at", "-digest")


def find_keys(
    text: str = "",
    *,
    names: Sequence[str] = (),
    after: str = "",
    limit: int = PAGE_SIZE,
    scan: int = SCAN_LIMIT,
    using: str | None = None,
) -> KeysetPage[EnqueueKey]:
    """Return keys with ``text`` in them or in their job's name, those kept longest first, with their jobs.

    An idempotency key that is ``text`` of a job among ``names`` comes first. At most four statements. Raises
    FilterError where ``after`` is nothing that a page had.
    """
    _, connection = open_dialect(using)
    keys = EnqueueKey.objects.using(connection.alias)
    page = _page(keys, KEYS, Q(key__contains=text) | Q(job_name__contains=text), text, after, limit, scan)
    if text and names and not after:
        digests = [key_digest(KeyKind.IDEMPOTENCY, name, text) for name in names]
        exact = list(keys.filter(pk__in=digests))
        found = {one.pk for one in exact}
        page = replace(page, rows=exact + [key for key in page.rows if key.pk not in found])
    jobs = Job.objects.using(connection.alias).defer("arguments", "metadata", "result_data")
    in_bulk = jobs.in_bulk([one.job_id for one in page.rows])
    for one in page.rows:
        if one.job_id in in_bulk:
            one.job = in_bulk[one.job_id]
    return page


def find_once(
    text: str = "",
    *,
    after: str = "",
    limit: int = PAGE_SIZE,
    scan: int = SCAN_LIMIT,
    using: str | None = None,
) -> KeysetPage[OnceRecord]:
    """Return records of ``once`` with ``text`` in their key, the newest first; at most two statements.

    Raises FilterError where ``after`` is nothing that a page had.
    """
    _, connection = open_dialect(using)
    records = OnceRecord.objects.using(connection.alias)
    return _page(records, RECORDS, Q(key__contains=text), text, after, limit, scan)


def keys_of_job(job_id: int, *, using: str | None = None) -> list[EnqueueKey]:
    """Return the keys that a job holds or held last, by their index."""
    _, connection = open_dialect(using)
    return list(EnqueueKey.objects.using(connection.alias).filter(job=job_id).order_by("kind", "digest"))


def _page(
    rows: QuerySet[M], order: tuple[str, ...], matches: Q, text: str, after: str, limit: int, scan: int
) -> KeysetPage[M]:
    return read_keyset_page(
        rows,
        order,
        narrow=(lambda some: some.filter(matches)) if text else None,
        after=after,
        limit=limit,
        scan=scan,
    )
