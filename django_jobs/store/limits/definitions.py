"""Bring the limits' rows in step with what the code says of them now."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import TextField
from django.db.models.functions import Cast

from ...models import Limit
from ...policy.limits import Rule
from ..clock import DatabaseNow
from ..dialects import open_dialect
from ..dialects.shared.by_id import Among
from ..selection import CHUNK


def bring_limits_in_step(rules: Iterable[tuple[str, Rule]], *, using: str | None = None) -> int:
    """Write rules by their limits' names into the rows that say otherwise, have them looked at, and return how many.

    1,000 rows a transaction. A limit that nobody has waited at has no row yet; its first enqueue brings the rule.
    """
    dialect, connection = open_dialect(using)
    limits = Limit.objects.using(connection.alias)
    changed = 0
    for name, rule in rules:
        of_rule = limits.filter(name=name, kind=rule.kind)
        last = -(2**63)
        while True:
            rows = of_rule.filter(pk__gt=last).order_by("pk").values_list("pk", Cast("rule", TextField()))
            chunk = list(rows[:CHUNK])
            differing = [pk for pk, text in chunk if Rule.from_text(text) != rule]
            if differing:
                with dialect.writing(connection):
                    changed += limits.filter(Among("pk", differing)).update(
                        rule=rule.as_json(), open_at=DatabaseNow()
                    )
            if len(chunk) < CHUNK:
                break
            last = chunk[-1][0]
    return changed
