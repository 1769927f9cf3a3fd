"""Add ended attempts and dead letters to the rollups that pages read, each row exactly once.

Ids are assigned before their rows are committed, so a row may appear behind a newer one. Hence two steps::

    record   seen_id = the newest id, seen_at = now
    roll up  once seen_at is ``min_age`` ago: the ids in (done_id, seen_id], 10,000 per transaction

A transaction locks both positions, checks that ``done_id`` is still where its count began, and writes the sums
together with the new ``done_id``. So a killed process leaves both or neither, of two processes one stops, and the sums
have one writer at a time. Attempts are counted before, without locks; dead letters, of which there are few, under the
lock, because ``close.delete_dead_letters`` must know on which side of ``done_id`` a dead letter is.

Transactions of the engine are far shorter than ``min_age``. A row that is committed later all the same (by hand, or by
a frozen server) is missing from the sums; so is an attempt that is purged within ``min_age``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from datetime import datetime, timedelta

from django.db.models import Max, Min

from ...models import Attempt, DeadLetter, DeadLetterHour, Rollup, RollupPosition
from ...policy.rollup import SPAN_RETENTION, AttemptCount, Span, SpanTotals, span_start, totals_by_span
from ...policy.type_rollup import totals_by_type
from ..clock import DatabaseNow, database_now
from ..dead_letters.group_counts import DIED_AT, RollupDeadLetter, add_dead_letters, parse_died_at
from ..dialects import open_dialect
from .type_rollup import add_to_types

MIN_AGE = timedelta(seconds=10)
ATTEMPTS_PER_RANGE = 10_000
DEAD_LETTERS_PER_RANGE = 2_000
RANGES_PER_ROUND = 20
HOUR_SECONDS = 3600
HOUR_RETENTION = timedelta(days=8)
SOURCES: dict[str, type[Attempt | DeadLetter]] = {
    RollupPosition.Source.ATTEMPTS: Attempt,
    RollupPosition.Source.DEAD_LETTERS: DeadLetter,
}


def roll_up(*, min_age: timedelta = MIN_AGE, using: str | None = None) -> int:
    """Roll up settled rows, at most 20 ranges of each table, and return how many rows that were.

    Called by every worker every few seconds; five statements if there is nothing to do.
    """
    _, connection = open_dialect(using)
    alias = connection.alias
    _make_positions(alias)
    return _roll_up_source(RollupPosition.Source.ATTEMPTS, _roll_up_attempts, min_age, alias) + _roll_up_source(
        RollupPosition.Source.DEAD_LETTERS, _roll_up_dead_letters, min_age, alias
    )


def prune_rollups(*, using: str | None = None) -> int:
    """Delete sums of spans and hours that no page shows any more; return how many were."""
    _, connection = open_dialect(using)
    alias = connection.alias
    now = database_now(using=alias)
    deleted = DeadLetterHour.objects.using(alias).filter(starts_at__lt=now - HOUR_RETENTION).delete()[0]
    for seconds, kept in SPAN_RETENTION.items():
        old = Rollup.objects.using(alias).filter(span_seconds=seconds, starts_at__lt=now - kept)
        deleted += old.delete()[0]
    return deleted


def _make_positions(alias: str) -> None:
    positions = RollupPosition.objects.using(alias)
    missing = set(SOURCES) - set(positions.values_list("source", flat=True))
    if missing:
        positions.bulk_create([RollupPosition(source=source) for source in sorted(missing)], ignore_conflicts=True)


def _roll_up_source(
    source: RollupPosition.Source,
    roll_up_range: Callable[[int, int, str], int | None],
    min_age: timedelta,
    alias: str,
) -> int:
    rolled_up = 0
    for _ in range(RANGES_PER_ROUND):
        position = RollupPosition.objects.using(alias).get(pk=source)
        if position.done_id >= position.seen_id:
            position = _record_newest(position, min_age, alias)
        if position.done_id >= position.seen_id or not _is_old_enough(position, min_age, alias):
            break
        size = ATTEMPTS_PER_RANGE if source == RollupPosition.Source.ATTEMPTS else DEAD_LETTERS_PER_RANGE
        number = roll_up_range(position.done_id, _range_end(position, size, alias), alias)
        if number is None:
            break
        rolled_up += number
    return rolled_up


def _record_newest(position: RollupPosition, min_age: timedelta, alias: str) -> RollupPosition:
    """Record the newest id, unless it is unchanged and was recorded within ``min_age``."""
    rows = SOURCES[position.source].objects.using(alias)
    newest = max(rows.aggregate(newest=Max("pk"))["newest"] or 0, position.done_id)
    if newest == position.seen_id and not _is_old_enough(position, min_age, alias):
        return position
    same = RollupPosition.objects.using(alias).filter(
        pk=position.pk, done_id=position.done_id, seen_id=position.seen_id
    )
    same.update(seen_id=newest, seen_at=DatabaseNow())
    return RollupPosition.objects.using(alias).get(pk=position.pk)


def _is_old_enough(position: RollupPosition, min_age: timedelta, alias: str) -> bool:
    if position.seen_at is None or not min_age:
        return True
    return position.seen_at <= database_now(using=alias) - min_age


def _range_end(position: RollupPosition, size: int, alias: str) -> int:
    """Return the last id of the next range; deleted ids, millions after years of pruning, are skipped."""
    rows = SOURCES[position.source].objects.using(alias)
    first = rows.filter(pk__gt=position.done_id).aggregate(first=Min("pk"))["first"]
    return position.seen_id if first is None else min(first + size - 1, position.seen_id)


def _roll_up_attempts(above: int, upto: int, alias: str) -> int | None:
    dialect, connection = open_dialect(alias)
    counted = dialect.stats.count_attempts(connection, above=above, upto=upto)
    with dialect.write_transaction(connection):
        if not _advance(RollupPosition.Source.ATTEMPTS, above, upto, alias):
            return None
        _add_to_rollups(counted, alias)
    return sum(count.number for count in counted)


def _roll_up_dead_letters(above: int, upto: int, alias: str) -> int | None:
    dialect, connection = open_dialect(alias)
    with dialect.write_transaction(connection):
        if not _advance(RollupPosition.Source.DEAD_LETTERS, above, upto, alias):
            return None
        dead_letters = _read_dead_letters(above, upto, alias)
        if dead_letters:
            add_dead_letters(dead_letters, using=alias)
            _add_hours(dead_letters, alias)
            _add_to_rollups(_count_deaths(dead_letters), alias)
    return len(dead_letters)


def _read_dead_letters(above: int, upto: int, alias: str) -> list[RollupDeadLetter]:
    rows = DeadLetter.objects.using(alias).filter(pk__gt=above, pk__lte=upto).order_by("pk")
    now = database_now(using=alias)
    return [
        RollupDeadLetter(pk, fingerprint, parse_died_at(died_at) or now, *names)
        for pk, fingerprint, died_at, *names in rows.values_list("pk", "fingerprint", DIED_AT, "queue_name", "job_name")
    ]


def _advance(source: RollupPosition.Source, done_id: int, upto: int, alias: str) -> bool:
    """Lock both positions and advance one; False if another process has advanced it."""
    locked = list(RollupPosition.objects.using(alias).filter(pk__in=SOURCES).select_for_update().order_by("pk"))
    if not any(position.source == source and position.done_id == done_id for position in locked):
        return False
    RollupPosition.objects.using(alias).filter(pk=source).update(done_id=upto)
    return True


def _count_deaths(dead_letters: Iterable[RollupDeadLetter]) -> list[AttemptCount]:
    numbers = Counter((int(row.died_at.timestamp() // 60), row.queue_name, row.job_name) for row in dead_letters)
    return [
        AttemptCount(minute, queue, job_name, number, dead=number)
        for (minute, queue, job_name), number in numbers.items()
    ]


def _add_to_rollups(counted: Collection[AttemptCount], alias: str) -> None:
    """Add to the rows of the spans; the caller has locked the positions, so nobody else writes them."""
    now = database_now(using=alias)
    _add_to_queues(totals_by_span(counted, now=now), alias)
    add_to_types(totals_by_type(counted, now=now), using=alias)


def _add_to_queues(sums: dict[Span, SpanTotals], alias: str) -> None:
    stored = _read_sums(sums, alias)
    rows = []
    for span, added in sums.items():
        row = stored.get(span) or Rollup(
            span_seconds=span.seconds, starts_at=span.starts_at, queue_name=span.queue_name
        )
        row.succeeded += added.succeeded
        row.retried += added.retried
        row.dead += added.dead
        row.waits = _merge_histograms(row.waits, added.waits)
        row.runs = _merge_histograms(row.runs, added.runs)
        row.pk = None
        rows.append(row)
    upsert_rollups(rows, fields=["succeeded", "retried", "dead", "waits", "runs"], alias=alias)


def upsert_rollups(rows: list[Rollup], *, fields: list[str], alias: str) -> None:
    """Insert rows, or overwrite only these fields of those that exist.

    In one order, for two write the same rows: the roll-up and the sample of the backlog would wait for each other.
    """
    rows = sorted(rows, key=lambda row: (row.span_seconds, row.starts_at, row.queue_name))
    _upsert(rows, unique=["span_seconds", "starts_at", "queue_name"], fields=fields, alias=alias)


def _read_sums(sums: dict[Span, SpanTotals], alias: str) -> dict[Span, Rollup]:
    stored: dict[Span, Rollup] = {}
    for seconds in {span.seconds for span in sums}:
        starts = [span.starts_at for span in sums if span.seconds == seconds]
        rows = Rollup.objects.using(alias).filter(
            span_seconds=seconds, starts_at__gte=min(starts), starts_at__lte=max(starts)
        )
        stored |= {Span(seconds, row.starts_at, row.queue_name): row for row in rows}
    return stored


def _merge_histograms(histogram: dict[str, int], counts: Counter[int]) -> dict[str, int]:
    total = Counter({int(bucket): number for bucket, number in histogram.items()}) + counts
    return {str(bucket): total[bucket] for bucket in sorted(total)}


def _add_hours(dead_letters: Iterable[RollupDeadLetter], alias: str) -> None:
    added = Counter((row.fingerprint, _hour_of(row.died_at)) for row in dead_letters)
    starts = [starts_at for _, starts_at in added]
    rows = DeadLetterHour.objects.using(alias).filter(
        starts_at__gte=min(starts),
        starts_at__lte=max(starts),
        fingerprint__in={fingerprint for fingerprint, _ in added},
    )
    stored = {(row.fingerprint, row.starts_at): row.number for row in rows}
    _upsert(
        [
            DeadLetterHour(fingerprint=key[0], starts_at=key[1], number=stored.get(key, 0) + number)
            for key, number in added.items()
        ],
        unique=["fingerprint", "starts_at"],
        fields=["number"],
        alias=alias,
    )


def _hour_of(instant: datetime) -> datetime:
    return span_start(instant.timestamp(), HOUR_SECONDS)


def _upsert(rows: list[Rollup] | list[DeadLetterHour], *, unique: list[str], fields: list[str], alias: str) -> None:
    """Insert rows or overwrite their sums, many in one statement."""
    if not rows:
        return
    _, connection = open_dialect(alias)
    names_target = connection.features.supports_update_conflicts_with_target
    type(rows[0]).objects.using(alias).bulk_create(
        rows,  # type: ignore[arg-type]  # all of one model
        update_conflicts=True,
        update_fields=fields,
        unique_fields=unique if names_target else None,
        batch_size=500,
    )
