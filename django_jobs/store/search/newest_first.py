"""Read rows newest first, in bounded time however large the table and however rare the matches.

A filter that no index serves is applied to a bounded range of ids at a time. The page has the ids between which it
was searched, and the cursor of the next range.
"""

from __future__ import annotations

from typing import TypeVar

from django.db.models import Max, Model, QuerySet

from .keyset_pages import PAGE_SIZE, SCAN_LIMIT, KeysetPage, decode_cursor, hide_selectivity, keyset_page

M = TypeVar("M", bound=Model)


def newest_first(
    rows: QuerySet[M],
    *,
    after: str = "",
    below: int | None = None,
    above: int = 0,
    limit: int = PAGE_SIZE,
    scan: int = SCAN_LIMIT,
    is_indexed: bool = False,
) -> KeysetPage[M]:
    """Return up to ``limit`` rows behind the cursor ``after``, with ids below ``below`` and above ``above``.

    Scans ``scan`` ids. At most three statements: two for the bounds of the ids, answered by the primary key, and one
    for the rows in that range. Filters and select_related of the queryset are kept; its order is not.
    ``is_indexed``: an index finds the matches in the order of their ids, so it may be used instead of the key. Raises
    FilterError if ``after`` is not a cursor of ids.
    """
    start = decode_cursor(rows.model, ("-id",), after)
    if start is not None:
        below = start[0] if below is None else min(below, start[0])
    whole = rows.model._base_manager.using(rows.db)
    bounds = whole.filter(pk__gt=above)
    if below is not None:
        bounds = bounds.filter(pk__lt=below)
    highest = bounds.aggregate(highest=Max("pk"))["highest"]
    if highest is None:
        return KeysetPage(rows=[], next_cursor=None)
    lowest = max(highest - scan + 1, above + 1, 1)
    if not is_indexed:
        rows = hide_selectivity(rows)
    found = list(rows.filter(pk__gte=lowest, pk__lte=highest).order_by("-pk")[: limit + 1])
    if len(found) > limit:
        lowest = found[limit - 1].pk
        return keyset_page(found[:limit], (lowest,), limit=limit, lowest=lowest, highest=highest)
    # Not exists(): PostgreSQL answers that by reading the table from its start.
    is_more = bounds.filter(pk__lt=lowest).aggregate(highest=Max("pk"))["highest"] is not None
    return keyset_page(
        found,
        (lowest,) if is_more else None,
        limit=limit,
        lowest=lowest,
        highest=highest,
        scanned=highest - lowest + 1,
    )
