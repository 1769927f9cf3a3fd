"""Windows: the rows of a filter, newest first, in bounded time however large the table and rare the matches.

A filter that no index serves is looked for among a bounded number of ids at a time. A window tells
between which ids it has looked, and where the next one begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from django.db.models import Max, Model, QuerySet

M = TypeVar("M", bound=Model)

PAGE_SIZE = 50
SCAN_LIMIT = 20_000
"""Ids looked at for one window."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window(Generic[M]):
    """Some rows, newest first.

    ``older`` is the id below which the next window looks, None at the table's end; ``lowest`` and ``highest`` are the
    ids between which this one has looked, 0 and 0 in an empty table.
    """

    rows: list[M]
    older: int | None
    lowest: int
    highest: int

    @property
    def is_truncated(self) -> bool:
        """True where the look ended before the page was full: what is older may match, too."""
        return self.older is not None and len(self.rows) < PAGE_SIZE


def newest_first(
    rows: QuerySet[M],
    *,
    below: int | None = None,
    above: int = 0,
    limit: int = PAGE_SIZE,
    scan: int = SCAN_LIMIT,
) -> Window[M]:
    """Return up to ``limit`` rows of the queryset with ids under ``below`` and over ``above``, looking at ``scan`` ids.

    At most three statements: two for the bounds of the ids, which the key answers, and the rows by a range of them.
    Any filter and select_related of the queryset is kept; its order is not.
    """
    whole = rows.model._base_manager.using(rows.db)
    bounds = whole.filter(pk__gt=above)
    if below is not None:
        bounds = bounds.filter(pk__lt=below)
    highest = bounds.aggregate(highest=Max("pk"))["highest"]
    if highest is None:
        return Window(rows=[], older=None, lowest=0, highest=0)
    lowest = max(highest - scan + 1, above + 1, 1)
    found = list(rows.filter(pk__gte=lowest, pk__lte=highest).order_by("-pk")[: limit + 1])
    if len(found) > limit:
        return Window(
            rows=found[:limit], older=found[limit - 1].pk, lowest=found[limit - 1].pk, highest=highest
        )
    # Not exists(): PostgreSQL answers that by reading the table from its start.
    is_more = bounds.filter(pk__lt=lowest).aggregate(highest=Max("pk"))["highest"] is not None
    older = lowest if is_more else None
    return Window(rows=found, older=older, lowest=lowest, highest=highest)
