"""Update the limits' rows to the rules that the code defines now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import replace

from django.db.models import TextField
from django.db.models.functions import Cast

from ...models import Limit
from ...policy.limits import LimitKind, LimitRule
from ..clock import DatabaseNow
from ..dialects import open_dialect
from ..dialects.shared.by_id import InIds
from ..selection import CHUNK


def sync_limits(
    rules: Iterable[tuple[str, LimitRule]], *, held_by_function: Collection[str] = (), using: str | None = None
) -> int:
    """Write rules, by limit name, into the rows that differ, make these due for a check, and return how many.

    ``held_by_function``: names of orderings whose ``hold_when_dead`` is a function of a job's arguments; their rows
    keep what it said of the newest job. 1,000 rows a transaction. A limit that no job has used has no row yet; its
    first enqueue brings the rule.
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
            differing: dict[LimitRule, list[int]] = defaultdict(list)
            for pk, text in chunk:
                stored = LimitRule.from_text(text)
                keeps = rule.kind is LimitKind.ORDER and name in held_by_function
                wanted = replace(rule, hold_when_dead=stored.hold_when_dead) if keeps else rule
                if stored != wanted:
                    differing[wanted].append(pk)
            for wanted, ids in differing.items():
                with dialect.write_transaction(connection):
                    changed += limits.filter(InIds("pk", ids)).update(rule=wanted.as_json(), check_at=DatabaseNow())
            if len(chunk) < CHUNK:
                break
            last = chunk[-1][0]
    return changed
