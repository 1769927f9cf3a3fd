"""Save the progress and metadata that a running job reports, only while its claim is valid."""

from __future__ import annotations

import json
from typing import Any

from ...models import Job
from ...policy.states import State
from ..dialects import open_dialect
from ..dialects.base.jobs import Claim


def save_progress(claim: Claim, values: dict[str, Any], *, worker_id: int, using: str | None = None) -> bool:
    """Write progress or metadata columns of the job and tell whether the claim was still valid. One guarded statement.

    The keys of ``values`` are ``progress_done``, ``progress_total``, ``progress_message``, ``metadata`` and
    ``max_attempts``.
    """
    _, connection = open_dialect(using)
    claimed = Job.objects.using(connection.alias).filter(
        pk=claim.job_id, state=State.RUNNING, worker=worker_id, claim_number=claim.claim_number
    )
    return bool(claimed.update(**values))


def read_metadata(claim: Claim) -> dict[str, Any]:
    """Return the job's metadata at the time of the claim."""
    metadata: dict[str, Any] = json.loads(claim.metadata)
    return metadata
