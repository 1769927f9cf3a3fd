"""Find the dead letters of a filter: a bounded count, the newest, and all of them in bounded steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Max, Min, Q, QuerySet

from ...models import BatchJob, DeadLetter
from ...policy.dead_letter_filter import DeadLetterFilter
from ..clock import DatabaseNow
from ..dialects import open_dialect
from ..search.keyset_pages import hide_selectivity
from .groups import count_by_groups

IDS_PER_STEP = 500
"""Ids yielded at a time. ``SCAN_FACTOR`` times as many are scanned, so that rare matches are found."""
SCAN_FACTOR = 40
MAX_COUNTED = 10_000
COUNT_SCAN = 200_000
OPEN = Q(status=DeadLetter.Status.OPEN)
BOUNDARY_SAMPLE = 1_000
"""Ids rise roughly with time: the ids of this many dead letters next to a time bound the ids on its other side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundedCount:
    """Number of matches, counted up to a limit, in all and by queue, and the highest id at the time of the count.

    If more were counted exactly, ``by_queue`` is in the proportion of those up to the limit.
    """

    number: int
    is_more: bool
    up_to_id: int
    by_queue: Mapping[str, int]


def open_dead_letters(wanted: DeadLetterFilter, *, using: str | None = None) -> QuerySet[DeadLetter]:
    """Return the filter's open dead letters."""
    _, connection = open_dialect(using)
    return filter_dead_letters(wanted, using=connection.alias).filter(status=DeadLetter.Status.OPEN)


def filter_dead_letters(wanted: DeadLetterFilter, *, using: str) -> QuerySet[DeadLetter]:
    """Return the filter's dead letters of any status."""
    dead_letters: QuerySet[DeadLetter] = DeadLetter.objects.using(using)
    exact = {
        name: value for name in ("fingerprint", "job_name", "queue_name", "reason") if (value := getattr(wanted, name))
    }
    dead_letters = dead_letters.filter(**exact)
    if wanted.error:
        dead_letters = dead_letters.filter(
            Q(error_class__icontains=wanted.error) | Q(error_message__icontains=wanted.error)
        )
    dead_letters = died_within(dead_letters, wanted)
    if wanted.up_to_id is not None:
        dead_letters = dead_letters.filter(pk__lte=wanted.up_to_id)
    if wanted.batch is not None:
        dead_letters = of_batch(dead_letters, wanted.batch)
    if wanted.ids is not None:
        dead_letters = dead_letters.filter(pk__in=wanted.ids)
    return dead_letters


def of_batch(dead_letters: QuerySet[DeadLetter], batch_id: int) -> QuerySet[DeadLetter]:
    """Return the dead letters of the jobs of a batch."""
    return dead_letters.filter(job__in=BatchJob.objects.using(dead_letters.db).filter(batch=batch_id).values("job"))


def died_within(dead_letters: QuerySet[DeadLetter], wanted: DeadLetterFilter) -> QuerySet[DeadLetter]:
    """Return the dead letters that died within the filter's time."""
    if wanted.since is not None:
        dead_letters = dead_letters.filter(died_at__gte=_as_time(wanted.since))
    return dead_letters if wanted.until is None else dead_letters.filter(died_at__lt=wanted.until)


def _as_time(since: Any) -> Any:
    return DatabaseNow(-since) if isinstance(since, timedelta) else since


def id_bounds(wanted: DeadLetterFilter, *, using: str | None = None) -> tuple[int, int | None]:
    """Return the ids above and below which the filter's dead letters lie: 0 and None if it sets no bounds.

    One statement for each bound in time, by the index of ``died_at``.
    """
    _, connection = open_dialect(using)
    dead_letters = DeadLetter.objects.using(connection.alias)
    above, below = 0, None
    if wanted.since is not None:
        first = (
            dead_letters.filter(died_at__gte=_as_time(wanted.since)).order_by("died_at").values("pk")[:BOUNDARY_SAMPLE]
        )
        lowest = first.aggregate(lowest=Min("pk"))["lowest"]
        if lowest is None:
            return 0, 1
        above = lowest - 1
    if wanted.until is not None:
        last = dead_letters.filter(died_at__lt=wanted.until).order_by("-died_at").values("pk")[:BOUNDARY_SAMPLE]
        below = (last.aggregate(highest=Max("pk"))["highest"] or 0) + 1
    if wanted.up_to_id is not None:
        below = wanted.up_to_id + 1 if below is None else min(below, wanted.up_to_id + 1)
    return above, below


def _within_ids(wanted: DeadLetterFilter, of_status: Q, above: int, up_to: int, *, using: str) -> QuerySet[DeadLetter]:
    """Return the filter's dead letters in a range of ids, which is read whatever the planner expects to match."""
    matching = filter_dead_letters(wanted, using=using)
    if wanted.ids is None:
        matching = hide_selectivity(matching)
    return matching.filter(of_status, pk__gt=above, pk__lte=up_to)


def count_open_dead_letters(wanted: DeadLetterFilter, *, using: str | None = None) -> BoundedCount:
    """Count the open dead letters of a filter among the newest 200,000 of its time, up to 10,000.

    All of them, or all of a group, are counted exactly. Two to five statements.
    """
    _, connection = open_dialect(using)
    newest = DeadLetter.objects.using(connection.alias).aggregate(newest=Max("pk"))["newest"] or 0
    above, below = id_bounds(wanted, using=connection.alias)
    highest = newest if below is None else min(newest, below - 1)
    is_indexed = set(wanted.to_query()) <= {"fingerprint", "up_to_id"} and not wanted.ids
    if is_indexed:
        found = open_dead_letters(wanted, using=connection.alias)
    else:
        found = _within_ids(wanted, OPEN, max(highest - COUNT_SCAN, above), highest, using=connection.alias)
    by_queue = Counter(found.order_by("-pk").values_list("queue_name", flat=True)[: MAX_COUNTED + 1])
    number = by_queue.total()
    if number > MAX_COUNTED and is_indexed and wanted.up_to_id is None:
        exact = count_by_groups(wanted.fingerprint, using=connection.alias)
        if exact is not None:
            shares = {queue: round(exact * share / number) for queue, share in by_queue.items()}
            return BoundedCount(number=exact, is_more=False, up_to_id=highest, by_queue=shares)
    is_more = number > MAX_COUNTED or (not is_indexed and _is_any(above, highest - COUNT_SCAN, using=connection.alias))
    return BoundedCount(number=min(number, MAX_COUNTED), is_more=is_more, up_to_id=highest, by_queue=by_queue)


def _is_any(above: int, up_to: int, *, using: str) -> bool:
    """Tell whether any dead letter, of whatever status, lies in a range of ids; no statement for an empty range."""
    return above < up_to and DeadLetter.objects.using(using).filter(pk__gt=above, pk__lte=up_to).exists()


def newest_dead_letter_ids(wanted: DeadLetterFilter, limit: int, *, using: str | None = None) -> list[int]:
    """Return the ids of the newest open dead letters of a filter, among the newest 200,000 of its time."""
    _, connection = open_dialect(using)
    above, below = id_bounds(wanted, using=connection.alias)
    if below is None:
        below = count_open_dead_letters(wanted, using=connection.alias).up_to_id + 1
    found = _within_ids(wanted, OPEN, max(below - 1 - COUNT_SCAN, above), below - 1, using=connection.alias)
    return list(found.order_by("-pk").values_list("pk", flat=True)[:limit])


def iter_dead_letter_ids(
    wanted: DeadLetterFilter,
    *,
    after: int = 0,
    status: str | None = "open",
    limit: int | None = None,
    using: str | None = None,
) -> Iterator[tuple[list[int], int]]:
    """Yield up to 500 ids of the filter's dead letters at a time, oldest first, with the id up to which was searched.

    ``limit``: yield so many at a time, if that is less. ``status`` None: of any status. Each step scans 20,000 ids, so
    that a rare match never blocks the database; a step may find none.
    """
    _, connection = open_dialect(using)
    size = IDS_PER_STEP if limit is None else min(limit, IDS_PER_STEP)
    of_status = Q() if status is None else Q(status=status)
    whole = DeadLetter.objects.using(connection.alias).filter(of_status)
    above, below = id_bounds(wanted, using=connection.alias)
    after = max(after, above)
    # Of any status: with statistics that know none of this status, PostgreSQL would read all of it for its maximum.
    last_id = DeadLetter.objects.using(connection.alias).aggregate(last=Max("pk"))["last"] or 0
    if below is not None:
        last_id = min(last_id, below - 1)
    while after < last_id:
        first = whole.filter(pk__gt=after).order_by("pk").values_list("pk", flat=True).first()
        if first is None or first > last_id:
            return
        until = min(first + IDS_PER_STEP * SCAN_FACTOR - 1, last_id)
        matching = _within_ids(wanted, of_status, after, until, using=connection.alias)
        ids = list(matching.order_by("pk").values_list("pk", flat=True)[:size])
        after = ids[-1] if len(ids) == size else until
        yield ids, after
