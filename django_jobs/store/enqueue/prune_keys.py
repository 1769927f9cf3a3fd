"""Delete keys of enqueues that are no longer held, and old records of ``once``."""

from __future__ import annotations

from datetime import timedelta

from ...models import EnqueueKey, Job, OnceRecord
from ...policy.uniqueness import UNIQUE_KEY_TTL, UNIQUE_STATES, KeyKind
from ..clock import DatabaseNow
from ..dialects import open_dialect
from ..dialects.shared.by_id import delete_rows
from ..old_rows import WINDOW, delete_old


def prune_keys(*, windows: int | None = None, using: str | None = None) -> int:
    """Delete idempotency keys whose window is over and unique keys whose job has ended; return how many.

    At most ``windows`` transactions (None: all) of 2,000, by the index of ``expires_at``. The key of a job that has not
    ended is checked again a day later. A key that another transaction has locked to take it over is skipped.
    """
    dialect, connection = open_dialect(using)
    keys, jobs = EnqueueKey.objects.using(connection.alias), Job.objects.using(connection.alias)
    deleted, checked = 0, WINDOW
    while checked == WINDOW and windows != 0:
        windows = None if windows is None else windows - 1
        with dialect.write_transaction(connection):
            over = keys.filter(expires_at__lt=DatabaseNow()).order_by("expires_at", "digest")
            rows = list(over.select_for_update(skip_locked=True).values_list("digest", "kind", "job_id")[:WINDOW])
            unique = [job_id for _, kind, job_id in rows if kind == KeyKind.UNIQUE]
            live = set(
                jobs.filter(pk__in=unique, state__in=UNIQUE_STATES).values_list("pk", flat=True) if unique else ()
            )
            held = [digest for digest, kind, job_id in rows if kind == KeyKind.UNIQUE and job_id in live]
            if held:
                keys.filter(pk__in=held).update(expires_at=DatabaseNow(UNIQUE_KEY_TTL))
            if len(held) < len(rows):
                free = {digest for digest, _, _ in rows} - set(held)
                delete_rows(keys.filter(pk__in=free))
            deleted += len(rows) - len(held)
        checked = len(rows)
    return deleted


def prune_once(period: timedelta | None, *, windows: int | None = None, using: str | None = None) -> int:
    """Delete records of ``once`` older than ``period`` (None: keep all), in ``windows`` (None: all) of 2,000."""
    return delete_old(OnceRecord, "recorded_at", period, windows=windows, using=using)
