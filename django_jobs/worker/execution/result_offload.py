"""Large results: written to RESULTS["STORAGE"] after the function has returned and before its success is saved."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

from django.db import InterfaceError, OperationalError

from ...policy.outcomes import Outcome, Succeeded
from ...result_files import delete_result, write_result
from ...store.dialects.base.jobs import Claim
from .classify import RESULT_LOST
from .runtime import RunContext

logger = logging.getLogger("django_jobs.worker")


def needs_offload(outcome: Outcome) -> bool:
    """Tell whether the outcome's result has to be put away."""
    result_retention = outcome.result_retention if isinstance(outcome, Succeeded) else None
    return result_retention is not None and bool(result_retention.storage) and not result_retention.file_name


def offload(outcome: Outcome, claim: Claim, run_context: RunContext) -> Outcome:
    """Write a large result to its storage and return the outcome with the mark of its file; others as they are.

    Where the storage fails the result is lost, and logged: the function has done its work and must not run again.
    """
    if not isinstance(outcome, Succeeded) or outcome.result_retention is None or not needs_offload(outcome):
        return outcome
    try:
        file = write_result(
            outcome.result or "null",
            job_id=claim.job_id,
            day=run_context.clock.now().date(),
            storage=outcome.result_retention.storage,
        )
    except Exception:  # a storage may raise anything
        logger.exception(
            "job %s (%s) succeeded, its result could not be written to STORAGES[%r] and is lost",
            claim.job_id,
            claim.name,
            outcome.result_retention.storage,
        )
        return RESULT_LOST
    result_retention = replace(outcome.result_retention, file_name=file.name)
    return Succeeded(result=json.dumps(file.reference()), result_retention=result_retention)


def delete_offloaded(outcome: Outcome | None, error: Exception) -> None:
    """Delete the file of a success whose transaction failed, unless it may have been committed all the same."""
    result_retention = outcome.result_retention if isinstance(outcome, Succeeded) else None
    if result_retention is None or not result_retention.file_name:
        return
    if isinstance(error, (OperationalError, InterfaceError)):
        logger.warning(
            "whether the result's file %s of STORAGES[%r] is in use is not known; it stays",
            result_retention.file_name,
            result_retention.storage,
        )
    else:
        delete_result(result_retention.storage, result_retention.file_name)
