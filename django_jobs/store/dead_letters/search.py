"""Find the open letters of a filter: how many, bounded, and all of them in bounded steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Max, Min, Q, QuerySet

from ...models import DeadLetter
from ...policy.dead_letter_filter import DeadLetterFilter
from ..clock import DatabaseNow
from ..dialects import open_dialect

STEP = 500
"""Letters that are yielded, or ids that are looked at, at a time: ``SCAN_STEPS`` of them for a rare match."""
SCAN_STEPS = 40
MAX_COUNTED = 10_000
COUNT_SCAN = 200_000
SLACK = 1_000
"""Ids rise nearly as letters come: so many letters next to an instant tell between which ids its others are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundedCount:
    """How many match, counted up to a limit, and the id of the newest letter that may at that moment."""

    number: int
    is_more: bool
    up_to_id: int


def open_dead_letters(wanted: DeadLetterFilter, *, using: str | None = None) -> QuerySet[DeadLetter]:
    """Return the filter's open letters."""
    _, connection = open_dialect(using)
    return filter_dead_letters(wanted, using=connection.alias).filter(status=DeadLetter.Status.OPEN)


def filter_dead_letters(wanted: DeadLetterFilter, *, using: str) -> QuerySet[DeadLetter]:
    """Return the filter's letters, whatever their status."""
    letters: QuerySet[DeadLetter] = DeadLetter.objects.using(using)
    exact = {
        name: value
        for name in ("fingerprint", "job_name", "queue_name", "reason")
        if (value := getattr(wanted, name))
    }
    letters = letters.filter(**exact)
    if wanted.error:
        letters = letters.filter(
            Q(error_class__icontains=wanted.error) | Q(error_message__icontains=wanted.error)
        )
    letters = died_within(letters, wanted)
    if wanted.up_to_id is not None:
        letters = letters.filter(pk__lte=wanted.up_to_id)
    if wanted.ids is not None:
        letters = letters.filter(pk__in=wanted.ids)
    return letters


def died_within(letters: QuerySet[DeadLetter], wanted: DeadLetterFilter) -> QuerySet[DeadLetter]:
    """Return those of the letters that are of the filter's time."""
    if wanted.since is not None:
        letters = letters.filter(died_at__gte=_instant(wanted.since))
    return letters if wanted.until is None else letters.filter(died_at__lt=wanted.until)


def _instant(since: Any) -> Any:
    return DatabaseNow(-since) if isinstance(since, timedelta) else since


def id_bounds(wanted: DeadLetterFilter, *, using: str | None = None) -> tuple[int, int | None]:
    """Return the ids above and below which the filter's letters are: 0 and None where it sets no bounds.

    A statement for each end that is given, by the index of ``died_at``.
    """
    _, connection = open_dialect(using)
    letters = DeadLetter.objects.using(connection.alias)
    above, below = 0, None
    if wanted.since is not None:
        first = letters.filter(died_at__gte=_instant(wanted.since)).order_by("died_at").values("pk")[:SLACK]
        lowest = first.aggregate(lowest=Min("pk"))["lowest"]
        if lowest is None:
            return 0, 1
        above = lowest - 1
    if wanted.until is not None:
        last = letters.filter(died_at__lt=wanted.until).order_by("-died_at").values("pk")[:SLACK]
        below = (last.aggregate(highest=Max("pk"))["highest"] or 0) + 1
    if wanted.up_to_id is not None:
        below = wanted.up_to_id + 1 if below is None else min(below, wanted.up_to_id + 1)
    return above, below


def count_open_dead_letters(wanted: DeadLetterFilter, *, using: str | None = None) -> BoundedCount:
    """Count the open letters of a filter among the newest 200,000 of its time, up to 10,000. Two to four statements."""
    _, connection = open_dialect(using)
    newest = DeadLetter.objects.using(connection.alias).aggregate(newest=Max("pk"))["newest"] or 0
    found = open_dead_letters(wanted, using=connection.alias)
    above, below = id_bounds(wanted, using=connection.alias)
    highest = newest if below is None else min(newest, below - 1)
    is_indexed = set(wanted.to_query()) <= {"fingerprint", "up_to_id"} and not wanted.ids
    if not is_indexed:
        found = found.filter(pk__gt=max(highest - COUNT_SCAN, above), pk__lte=highest)
    number = found.order_by("-pk").values("pk")[: MAX_COUNTED + 1].count()
    is_more = number > MAX_COUNTED or (not is_indexed and highest - above > COUNT_SCAN)
    return BoundedCount(number=min(number, MAX_COUNTED), is_more=is_more, up_to_id=highest)


def newest_dead_letter_ids(wanted: DeadLetterFilter, limit: int, *, using: str | None = None) -> list[int]:
    """Return the ids of the newest open letters of a filter, among the newest 200,000 of its time."""
    above, below = id_bounds(wanted, using=using)
    if below is None:
        below = count_open_dead_letters(wanted, using=using).up_to_id + 1
    found = open_dead_letters(wanted, using=using).filter(
        pk__gt=max(below - 1 - COUNT_SCAN, above), pk__lt=below
    )
    return list(found.order_by("-pk").values_list("pk", flat=True)[:limit])


def iter_dead_letter_ids(
    wanted: DeadLetterFilter, *, after: int = 0, status: str | None = "open", using: str | None = None
) -> Iterator[tuple[list[int], int]]:
    """Yield the ids of the filter's letters, oldest first, at most 500 at a time, with the id looked up to.

    Of those with this ``status``; None: of all.

    Each step looks at 20,000 ids, so that a rare match never holds up the database; it may find none.
    """
    _, connection = open_dialect(using)
    of_status = Q() if status is None else Q(status=status)
    whole = DeadLetter.objects.using(connection.alias).filter(of_status)
    above, below = id_bounds(wanted, using=connection.alias)
    after = max(after, above)
    last = whole.aggregate(last=Max("pk"))["last"] or 0
    if below is not None:
        last = min(last, below - 1)
    while after < last:
        first = whole.filter(pk__gt=after).order_by("pk").values_list("pk", flat=True).first()
        if first is None or first > last:
            return
        until = min(first + STEP * SCAN_STEPS - 1, last)
        matching = filter_dead_letters(wanted, using=connection.alias).filter(
            of_status, pk__gt=after, pk__lte=until
        )
        ids = list(matching.order_by("pk").values_list("pk", flat=True)[:STEP])
        after = ids[-1] if len(ids) == STEP else until
        yield ids, after
