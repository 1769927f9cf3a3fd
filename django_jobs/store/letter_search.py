"""Find the open letters of a filter: how many, bounded, and all of them in bounded steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.db.models import Max, Q, QuerySet

from ..models import DeadLetter
from ..policy.letter_filter import LetterFilter
from .dialects import open_dialect

STEP = 500
"""Letters that are yielded, or ids that are looked at, at a time: ``SCAN_STEPS`` of them for a rare match."""
SCAN_STEPS = 40
MOST_COUNTED = 10_000
COUNT_SCAN = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """How many match, counted up to a limit, and the newest letter's id at that moment."""

    number: int
    is_more: bool
    up_to_id: int


def open_letters(wanted: LetterFilter, *, using: str | None = None) -> QuerySet[DeadLetter]:
    """Return the filter's open letters."""
    _, connection = open_dialect(using)
    return letters_of(wanted, using=connection.alias).filter(status=DeadLetter.Status.OPEN)


def letters_of(wanted: LetterFilter, *, using: str) -> QuerySet[DeadLetter]:
    """Return the filter's letters, whatever their status."""
    letters = DeadLetter.objects.using(using)
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
    if wanted.up_to_id is not None:
        letters = letters.filter(pk__lte=wanted.up_to_id)
    if wanted.ids is not None:
        letters = letters.filter(pk__in=wanted.ids)
    return letters


def count_open(wanted: LetterFilter, *, using: str | None = None) -> Counted:
    """Count the open letters of a filter among the newest 200,000, up to 10,000. Two statements."""
    _, connection = open_dialect(using)
    newest = DeadLetter.objects.using(connection.alias).aggregate(newest=Max("pk"))["newest"] or 0
    found = open_letters(wanted, using=connection.alias)
    is_indexed = set(wanted.as_address()) <= {"fingerprint"} and not wanted.ids
    if not is_indexed:
        found = found.filter(pk__gt=newest - COUNT_SCAN)
    number = found.order_by("-pk").values("pk")[: MOST_COUNTED + 1].count()
    is_more = number > MOST_COUNTED or (not is_indexed and newest > COUNT_SCAN)
    return Counted(number=min(number, MOST_COUNTED), is_more=is_more, up_to_id=newest)


def newest_ids(wanted: LetterFilter, limit: int, *, using: str | None = None) -> list[int]:
    """Return the ids of the newest open letters of a filter. One statement among the newest 200,000."""
    counted = count_open(wanted, using=using)
    found = open_letters(wanted, using=using).filter(pk__gt=counted.up_to_id - COUNT_SCAN)
    return list(found.order_by("-pk").values_list("pk", flat=True)[:limit])


def steps(
    wanted: LetterFilter, *, after: int = 0, using: str | None = None
) -> Iterator[tuple[list[int], int]]:
    """Yield the ids of the filter's open letters, oldest first, at most 500 at a time, with the id looked up to.

    Each step looks at 20,000 ids, so that a rare match never holds up the database; it may find none.
    """
    _, connection = open_dialect(using)
    whole = DeadLetter.objects.using(connection.alias).filter(status=DeadLetter.Status.OPEN)
    last = whole.aggregate(last=Max("pk"))["last"] or 0
    if wanted.up_to_id is not None:
        last = min(last, wanted.up_to_id)
    while after < last:
        first = whole.filter(pk__gt=after).order_by("pk").values_list("pk", flat=True).first()
        if first is None or first > last:
            return
        until = min(first + STEP * SCAN_STEPS - 1, last)
        matching = open_letters(wanted, using=connection.alias).filter(pk__gt=after, pk__lte=until)
        ids = list(matching.order_by("pk").values_list("pk", flat=True)[:STEP])
        after = ids[-1] if len(ids) == STEP else until
        yield ids, after
