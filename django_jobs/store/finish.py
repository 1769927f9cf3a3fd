"""Finish: save what became of runs, many at once, each only if its claim still stands."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from ..policy.fingerprint import fingerprint
from .dialects import open_dialect
from .dialects.base import Claim, Ended

logger = logging.getLogger("django_jobs.store")

__all__ = ["Claim", "Ended", "finish"]


def finish(ended: Sequence[Ended], *, worker_id: int, using: str | None = None) -> set[int]:
    """Save the decisions and return the ids of the jobs whose claims were still ``worker_id``'s.

    Job, Attempt and DeadLetter are written together: one statement on PostgreSQL, one transaction
    elsewhere. A claim that was lost is logged and nothing is written for it.
    """
    if not ended:
        return set()
    dialect, connection = open_dialect(using)
    saved = dialect.finish(connection, [_with_fingerprint(one) for one in ended], worker_id=worker_id)
    if len(saved) < len(ended):
        for one in ended:
            if one.claim.job_id not in saved:
                logger.warning(
                    "job %s (%s): claim %s was lost; what this run returned is not saved",
                    one.claim.job_id,
                    one.claim.name,
                    one.claim.claim_number,
                )
    return saved


def _with_fingerprint(ended: Ended) -> Ended:
    """Give a death without a Python error (lost, unknown name) the fingerprint of its reason."""
    decision = ended.decision
    if decision.death is None or ended.fingerprint:
        return ended
    error = decision.error
    text = fingerprint(
        job_name=ended.claim.name,
        error_class=error.error_class if error else decision.death.value,
        message=error.message if error else "",
    )
    return ended._replace(fingerprint=text)
