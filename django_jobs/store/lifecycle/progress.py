"""Progress and metadata: what a running job says of itself, saved only while its claim stands."""

from __future__ import annotations

import json
from typing import Any

from ...models import Job
from ...policy.states import State
from ..dialects import open_dialect
from ..dialects.base.jobs import Claim


def save_progress(claim: Claim, notes: dict[str, Any], *, worker_id: int, using: str | None = None) -> bool:
    """Write progress or metadata fields of the job and tell whether the claim still stood. One guarded statement.

    ``notes`` maps ``progress_done``, ``progress_total``, ``progress_message`` or ``metadata`` to values.
    """
    _, connection = open_dialect(using)
    held = Job.objects.using(connection.alias).filter(
        pk=claim.job_id, state=State.RUNNING, worker=worker_id, claim_number=claim.claim_number
    )
    return bool(held.update(**notes))


def read_metadata(claim: Claim) -> dict[str, Any]:
    """Return the job's metadata as it was at the claim."""
    metadata: dict[str, Any] = json.loads(claim.metadata)
    return metadata
