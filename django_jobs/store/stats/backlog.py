"""Sample the backlog of all queues once a minute, by one worker, for the charts and forecasts.

A sample costs three statements if nothing waits, and never reads more than a million index entries::

    claim    seen_at of the position "backlog" = now, if it is before this minute: one worker succeeds
    read     the ready and the running jobs of each queue, by one pass over the ready index, in one snapshot
    write    into the rollups that start at this minute; nobody else writes these columns

A worker that dies after the claim leaves that minute without a sample, which reads as not known. A queue without jobs
has no row: it is empty if the minute was sampled. See ``policy/backlog.py``.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import partial

from django.db import IntegrityError
from django.db.models import Q

from ...models import Rollup, RollupPosition
from ...policy.backlog import MAX_DELAY, MAX_SAMPLED, Level
from ...policy.rollup import ALL_QUEUES, SPAN_RETENTION, Span, span_start
from ..clock import DatabaseNow
from ..dialects import open_dialect
from ..dialects.shared.backlog import read_levels
from ..transactions import retry_on_conflict
from .rollup import upsert_rollups

LEVEL_FIELDS = ["waiting", "running", "max_waiting"]


def sample_backlog(minute: datetime, *, using: str | None = None) -> bool:
    """Sample the minute that has just begun; return False if another worker did, or if it has become too late."""
    _, connection = open_dialect(using)
    alias = connection.alias
    began = time.monotonic()
    if not _claim(minute, alias):
        return False
    levels = read_levels(connection, limit=MAX_SAMPLED)
    if levels is None or time.monotonic() - began > MAX_DELAY.total_seconds():
        return False
    found = {**levels, ALL_QUEUES: _total(levels.values())}
    retry_on_conflict(partial(_write, minute, found, alias), using=alias)
    return True


def _claim(minute: datetime, alias: str) -> bool:
    positions = RollupPosition.objects.using(alias)
    own = positions.filter(pk=RollupPosition.Source.BACKLOG)
    unsampled = own.filter(Q(seen_at=None) | Q(seen_at__lt=minute))
    if unsampled.update(seen_at=DatabaseNow()):
        return True
    if own.exists():
        return False
    positions.bulk_create([RollupPosition(source=RollupPosition.Source.BACKLOG)], ignore_conflicts=True)
    return bool(unsampled.update(seen_at=DatabaseNow()))


def _total(levels: Iterable[Level]) -> Level:
    found = list(levels)
    return Level(
        waiting=sum(level.waiting for level in found),
        running=sum(level.running for level in found),
        is_more=any(level.is_more for level in found),
    )


def _write(minute: datetime, levels: Mapping[str, Level], alias: str) -> None:
    """Write the levels into the spans that start now, and raise the maxima of the longer ones that contain it."""
    starts = [seconds for seconds in SPAN_RETENTION if span_start(minute.timestamp(), seconds) == minute]
    rows = [
        Rollup(
            span_seconds=seconds,
            starts_at=minute,
            queue_name=name,
            waiting=None if level.is_more else level.waiting,
            running=level.running,
            max_waiting=level.waiting,
        )
        for seconds in starts
        for name, level in levels.items()
    ]
    if len(rows) > 1 or not _insert(rows[0], alias):
        upsert_rollups(rows, fields=LEVEL_FIELDS, alias=alias)
    if levels[ALL_QUEUES].waiting:
        _raise_maxima(minute, {name: level.waiting for name, level in levels.items() if level.waiting}, alias)


def _insert(row: Rollup, alias: str) -> bool:
    """Insert one row, without the transaction that an upsert needs; False if it exists, as after a late roll-up."""
    _, connection = open_dialect(alias)
    if connection.in_atomic_block:
        return False
    try:
        row.save(using=alias, force_insert=True)
    except IntegrityError:
        return False
    return True


def _raise_maxima(minute: datetime, waiting: Mapping[str, int], alias: str) -> None:
    spans = {seconds: span_start(minute.timestamp(), seconds) for seconds in SPAN_RETENTION}
    longer = {seconds: start for seconds, start in spans.items() if start != minute}
    known: dict[Span, int | None] = {}
    for seconds, start in longer.items():
        stored = Rollup.objects.using(alias).filter(span_seconds=seconds, starts_at=start)
        for name, number in stored.values_list("queue_name", "max_waiting"):
            known[Span(seconds, start, name)] = number
    raised = [
        Rollup(span_seconds=seconds, starts_at=start, queue_name=name, max_waiting=number)
        for seconds, start in longer.items()
        for name, number in waiting.items()
        if number > (known.get(Span(seconds, start, name)) or 0)
    ]
    upsert_rollups(raised, fields=["max_waiting"], alias=alias)
