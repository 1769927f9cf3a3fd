"""Trim the attempts of a job that snoozes, or is stopped, again and again.

Such runs do not count, so nothing bounds their number. Attempts that count are kept: there are at most ``max_attempts``
for each redrive.
"""

from __future__ import annotations

from collections.abc import Iterable

from ...models import Attempt, JobLog
from ...policy.outcomes import AttemptOutcome
from ..dialects import open_dialect
from ..dialects.base.jobs import Claim
from ..dialects.shared.by_id import InIds, delete_rows

MAX_REPEATS = 100
"""A job's newest runs whose snoozes and stops are kept."""
TRIM_EVERY = 20
"""Claims of a job between two trims: a snooze costs a tenth of a statement."""

_REPEATABLE = (AttemptOutcome.SNOOZED, AttemptOutcome.RELEASED)


def trim_attempts(claims: Iterable[Claim], *, using: str) -> int:
    """Delete the snoozes and stops before the newest runs of these jobs, with their logs; return how many.

    Two statements for each job, three if there is something to delete. A crash leaves it to the next trim.
    """
    dialect, connection = open_dialect(using)
    trimmed = 0
    for claim in claims:
        old = Attempt.objects.using(connection.alias).filter(
            job=claim.job_id, claim_number__lte=claim.claim_number - MAX_REPEATS, outcome__in=_REPEATABLE
        )
        found = list(old.order_by("claim_number").values_list("pk", "claim_number"))
        if not found:
            continue
        logs = JobLog.objects.using(connection.alias).filter(
            job=claim.job_id, claim_number__in=[number for _, number in found]
        )
        log_ids = list(logs.values_list("pk", flat=True))
        with dialect.write_transaction(connection):
            if log_ids:
                delete_rows(JobLog.objects.using(connection.alias).filter(InIds("pk", log_ids)))
            delete_rows(Attempt.objects.using(connection.alias).filter(InIds("pk", [pk for pk, _ in found])))
        trimmed += len(found)
    return trimmed
