"""Write large results to RESULTS["STORAGE"], after the function has returned and before its success is saved."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

from ...log_records import log_job
from ...policy.outcomes import Outcome, Succeeded
from ...result_storage import delete_result, write_result
from .classify import RESULT_LOST
from .runtime import Run

logger = logging.getLogger("django_jobs.worker")


def needs_offload(outcome: Outcome) -> bool:
    """Tell whether the outcome has a result for RESULTS["STORAGE"] that is not written yet."""
    retention = outcome.result_retention if isinstance(outcome, Succeeded) else None
    return retention is not None and bool(retention.storage) and not retention.file_name


def offload(outcome: Outcome, run: Run) -> Outcome:
    """Write a large result to its storage and return the outcome with a reference to its file; others unchanged.

    If the storage fails, the result is lost, and that is logged: the job has done its work and must not run again.
    """
    if not isinstance(outcome, Succeeded) or outcome.result_retention is None or not needs_offload(outcome):
        return outcome
    retention = outcome.result_retention
    try:
        file = write_result(
            outcome.result or "null",
            job_id=run.claim.job_id,
            day=run.context.clock.now().date(),
            storage=retention.storage,
        )
    except BaseException:  # noqa: BLE001 - a storage may raise anything
        text = "succeeded; result could not be written to STORAGES[%r] and is lost"
        log_job(logger, logging.ERROR, run.claim, text, retention.storage, exc_info=True)
        return RESULT_LOST
    return Succeeded(result=json.dumps(file.reference()), result_retention=replace(retention, file_name=file.name))


def delete_offloaded(outcome: Outcome | None) -> None:
    """Delete the file of a success whose transaction was rolled back."""
    retention = outcome.result_retention if isinstance(outcome, Succeeded) else None
    if retention is not None and retention.file_name:
        delete_result(retention.storage, retention.file_name)
