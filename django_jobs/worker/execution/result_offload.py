"""Large results: written to RESULT_STORAGE after the function has returned and before its success is saved."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

from django.db import InterfaceError, OperationalError

from ...policy.outcomes import Outcome, Succeeded
from ...result_files import delete_result, write_result
from ...store.dialects.base.jobs import Claim
from .classify import LOST
from .runtime import Bench

logger = logging.getLogger("django_jobs.worker")


def is_large(outcome: Outcome) -> bool:
    """Tell whether the outcome's result has to be put away."""
    keeping = outcome.keeping if isinstance(outcome, Succeeded) else None
    return keeping is not None and bool(keeping.storage) and not keeping.file_name


def put_away(outcome: Outcome, claim: Claim, bench: Bench) -> Outcome:
    """Write a large result to its storage and return the outcome with the mark of its file; others as they are.

    Where the storage fails the result is lost, and logged: the function has done its work and must not run again.
    """
    if not isinstance(outcome, Succeeded) or outcome.keeping is None or not is_large(outcome):
        return outcome
    try:
        file = write_result(
            outcome.result or "null",
            job_id=claim.job_id,
            day=bench.clock.now().date(),
            storage=outcome.keeping.storage,
        )
    except Exception:  # a storage may raise anything
        logger.exception(
            "job %s (%s) succeeded, its result could not be written to STORAGES[%r] and is lost",
            claim.job_id,
            claim.name,
            outcome.keeping.storage,
        )
        return LOST
    keeping = replace(outcome.keeping, file_name=file.name)
    return Succeeded(result=json.dumps(file.mark()), keeping=keeping)


def take_back(outcome: Outcome | None, error: Exception) -> None:
    """Delete the file of a success whose transaction failed, unless it may have been committed all the same."""
    keeping = outcome.keeping if isinstance(outcome, Succeeded) else None
    if keeping is None or not keeping.file_name:
        return
    if isinstance(error, (OperationalError, InterfaceError)):
        logger.warning(
            "whether the result's file %s of STORAGES[%r] is in use is not known; it stays",
            keeping.file_name,
            keeping.storage,
        )
    else:
        delete_result(keeping.storage, keeping.file_name)
